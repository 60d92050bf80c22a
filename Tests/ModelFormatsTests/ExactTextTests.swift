import Foundation
import ModelFormats
import Testing

/// Text from outside is compared by its code points: é has two spellings, which Swift's strings
/// take for one.
@Suite struct ExactTextTests {
  private let composed = "\u{E9}"
  private let decomposed = "e\u{301}"

  @Test func keysStayApart() {
    var dictionary: ExactDictionary = [composed: 1, decomposed: 2]
    #expect(composed == decomposed)
    #expect(dictionary.count == 2)
    #expect(dictionary[composed] == 1 && dictionary[decomposed] == 2)
    // In the order of their bytes.
    #expect(dictionary.map { Array($0.key.utf8) } == [Array(decomposed.utf8), Array(composed.utf8)])
    #expect(dictionary != [composed: 1])
    dictionary[composed] = nil
    #expect(dictionary.keys.map { Array($0.utf8) } == [Array(decomposed.utf8)])
    #expect(dictionary == [decomposed: 2])
  }

  @Test func encodedMembersStayApart() throws {
    struct Object: Encodable {
      let metadata: ExactDictionary<String>
      let missing: Int?
      let list: [Double?]
      let nested: [String: [UInt8]]
    }
    let object = Object(
      metadata: [composed: "one", decomposed: "two"], missing: nil, list: [0.5, nil, 3],
      nested: ["bytes": [1, 255]])
    let value = try JSONValue(encoding: object)
    #expect(value["metadata"]?[composed] == .string("one"))
    #expect(value["metadata"]?[decomposed] == .string("two"))
    #expect(value["missing"] == nil)
    #expect(value["list"] == .array([.double(0.5), .null, .int(3)]))
    #expect(value["nested"] == .object(["bytes": .array([.int(1), .int(255)])]))
    #expect(try JSONValue(encoding: 7) == .int(7))
    #expect(try JSONValue(encoding: [String: Int]()) == .object([:]))
    #expect(try JSONValue(encoding: [Int]()) == .array([]))
    #expect(throws: EncodingError.self) { try JSONValue(encoding: Double.nan) }
  }

  @Test func tensorsAndMetadataOfSafetensorsStayApart() throws {
    var writer = SafetensorsWriter(metadata: [composed: "1", decomposed: "2"])
    try writer.add(composed, [1] as [Float])
    try writer.add(decomposed, [2] as [Float])
    let file = try SafetensorsFile(bytes: writer.bytes(), name: "two")
    #expect(file.names.count == 2)
    #expect(file.metadata[composed] == "1" && file.metadata[decomposed] == "2")
    #expect(try file.elements(composed, as: Float.self) == [1])
    #expect(try file.elements(decomposed, as: Float.self) == [2])
    #expect(throws: FormatError.self) { try writer.add(composed, [3] as [Float]) }
  }

  @Test func tensorsAndMetadataOfGGUFStayApart() throws {
    let tensors = [composed, decomposed].enumerated().map {
      GGUFWriter.Tensor(name: $1, rows: 1, columns: 1, values: [Float($0)])
    }
    let data = GGUFWriter.data([composed: .integer(1), decomposed: .integer(2)], tensors: tensors)
    let file = try GGUFFile(bytes: Array(data), name: "two")
    #expect(file.tensors.count == 2)
    #expect(file.metadata[composed]?.intValue == 1 && file.metadata[decomposed]?.intValue == 2)
  }

  @Test func settingsOfAFileStayApart() throws {
    let json = #"{"\#(composed)": 1, "\#(decomposed)": null}"#
    let config = try ConfigObject(bytes: Array(json.utf8), name: "config.json")
    #expect(config.has(composed) && !config.has(decomposed))
    #expect(config.isNull(decomposed) && !config.isNull(composed))
  }
}
