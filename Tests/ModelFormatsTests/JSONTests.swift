import ModelFormats
import Testing

@Suite struct JSONTests {
  func parse(_ text: String) throws -> JSONValue {
    try JSONReader.parse(Array(text.utf8), file: "test.json", rules: .strict)
  }

  @Test func readsEveryKindOfValue() throws {
    let value = try parse(
      #" {"a":[1,-2.5e3,true,false,null,"x\u00e9\ud83d\ude00\n\/"],"b":{},"#
        + #""c":9223372036854775807} "#)
    #expect(
      value["a"]?.arrayValue == [
        .int(1), .double(-2500), .bool(true), .bool(false), .null, .string("xé😀\n/"),
      ])
    #expect(value["b"]?.objectValue?.isEmpty == true)
    #expect(value["c"]?.intValue == .max)
    #expect(try parse("1e2").intValue == 100)
  }

  /// Rust's `u64::MAX` and larger integers stay integers; a bound keeps them from costing much.
  @Test func integersBeyond64BitsStayIntegers() throws {
    let long = "1" + String(repeating: "0", count: 300)
    for text in ["9223372036854775808", "-18446744073709551615", long] {
      guard case .bigInt(let value) = try parse(text) else {
        Issue.record("\(text) is no integer")
        continue
      }
      #expect(value.description == text)
      #expect(try parse(text).doubleValue == Double(text))
      #expect(try parse(text).intValue == nil)
    }
    #expect(try parse("-9223372036854775808").intValue == .min)
    let longer = String(repeating: "9", count: 5000)
    #expect(try #require(throws: FormatError.self) { try parse(longer) }.code == .limitExceeded)
  }

  @Test(arguments: [
    "", " ", "{", "[1,", "[1 2]", "{\"a\" 1}", "{a:1}", "{\"a\":1,}", "[1,]", "tru", "nul", "+1",
    "01",
    "1.", ".5", "1e", "-", "NaN", "1e999", "\"", "\"\\", "\"\\q\"", "\"\\u12\"", "\"\\ud800\"",
    "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\u{1}\"", "1 2", "{} x", "{\"a\":1,\"a\":2}",
  ])
  func refusesWhatIsNotJSON(text: String) throws {
    let error = try #require(throws: FormatError.self) { try parse(text) }
    #expect(error.offset.map { $0 <= text.utf8.count } == true, "\(error)")
  }

  @Test func hugeNumbersAreInfiniteWhereThatIsAskedFor() throws {
    func parse(_ text: String) throws -> JSONValue {
      try JSONReader.parse(Array(text.utf8), file: "x", rules: .strict.takingHugeNumbers())
    }
    #expect(try parse("[1e999,-1e999,1e3]")
        == .array([.double(.infinity), .double(-.infinity), .double(1000)]))
    #expect(try parse("1e999").intValue == nil)
    for text in ["inf", "Infinity", "1e", "NaN"] {
      #expect(throws: FormatError.self, "\(text)") { try parse(text) }
    }
  }

  @Test func boundsDepthAndCount() throws {
    let deep = String(repeating: "[", count: 1_000_000)
    #expect(try #require(throws: FormatError.self) { try parse(deep) }.code == .limitExceeded)
    let wide = "[" + String(repeating: "0,", count: 100) + "0]"
    #expect(throws: FormatError.self) {
      try JSONReader.parse(
        Array(wide.utf8), file: "x", rules: .strict.limited(values: 50))
    }
  }
}
