import Foundation
import ModelFormats
import Testing

@Suite struct HuggingFaceFolderTests {
  func shard(_ names: [String]) throws -> SafetensorsWriter {
    var writer = SafetensorsWriter()
    for name in names { try writer.add(name, [1] as [Float]) }
    return writer
  }

  @Test func readsASingleFile() throws {
    let folder = try HuggingFaceFolder(fixtures.appendingPathComponent("models/llama2"))
    #expect(folder.files.count == 1)
    #expect(folder.names.contains("lm_head.weight"))
    #expect(try folder.config.int("vocab_size") == 288)
  }

  @Test func readsShards() throws {
    let temporary = try TemporaryFolder()
    try temporary.write("config.json", "{}")
    try temporary.write(
      "model.safetensors.index.json",
      #"{"metadata":{"total_size":8},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#)
    try shard(["a", "unlisted"]).write(to: temporary.url.appendingPathComponent("one.safetensors"))
    try shard(["b"]).write(to: temporary.url.appendingPathComponent("two.safetensors"))
    let folder = try HuggingFaceFolder(temporary.url)
    #expect(folder.names == ["a", "b"])
    #expect(folder.fileOfTensor == ["a": 0, "b": 1])
  }

  @Test(arguments: [
    #"{"weight_map":{"a":"../one.safetensors"}}"#, #"{"weight_map":{"a":"/etc/passwd"}}"#,
    #"{"weight_map":{"a":""}}"#, #"{"weight_map":{"a":7}}"#, #"{"weight_map":[]}"#, "{}", "[]", "{",
    #"{"weight_map":{"absent":"one.safetensors"}}"#, #"{"weight_map":{"a":"absent.safetensors"}}"#,
    #"{"weight_map":{"a":"one.safetensors","a":"one.safetensors"}}"#,
  ])
  func refusesBadIndexes(index: String) throws {
    let temporary = try TemporaryFolder()
    try temporary.write("config.json", "{}")
    try temporary.write("model.safetensors.index.json", index)
    try shard(["a"]).write(to: temporary.url.appendingPathComponent("one.safetensors"))
    #expect(throws: FormatError.self) { try HuggingFaceFolder(temporary.url) }
  }

  @Test func saysWhatIsMissing() throws {
    let temporary = try TemporaryFolder()
    #expect(throws: FormatError.self) { try HuggingFaceFolder(temporary.url) }
    try temporary.write("config.json", "{}")
    let error = try #require(throws: FormatError.self) { try HuggingFaceFolder(temporary.url) }
    #expect(error.code == .missing)
  }

  @Test func settingsNameTheirKey() throws {
    let temporary = try TemporaryFolder()
    try temporary.write("c.json", #"{"a":{"n":"x","z":null,"big":99,"l":[1,2],"s":3}}"#)
    let config = try ConfigObject(contentsOf: temporary.url.appendingPathComponent("c.json"))
    let inner = try #require(try config.optionalObject("a"))
    #expect(try inner.optionalInt("z") == nil)
    #expect(try inner.optionalInts("l") == [1, 2])
    #expect(try inner.optionalInts("s") == [3])
    let wrong = try #require(throws: FormatError.self) { try inner.int("n") }
    #expect("\(wrong)".contains("a.n"))
    #expect(wrong.offset == 6)
    #expect(try #require(throws: FormatError.self) { try inner.int("absent") }.offset == 1)
    #expect(try #require(throws: FormatError.self) { try config.int("absent") }.offset == 0)
    #expect(try #require(throws: FormatError.self) { try inner.int("z") }.code == .missing)
    #expect(throws: FormatError.self) { try inner.positive("big", limit: 9) }
  }
}
