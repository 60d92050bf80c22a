import Foundation
import ModelFormats
import Testing
import Tokenizers

/// Ids and texts that the `tokenizers` library gave, for every tokenizer in the fixtures.
@Suite struct GoldenTokenizerTests {
  static let folders: [URL] =
    (try? Fixtures.contents(of: Fixtures.root.appendingPathComponent("tokenizers"))) ?? []

  @Test func fixturesAreThere() {
    #expect(!Self.folders.isEmpty, "no folders in \(Fixtures.root.path)/tokenizers")
  }

  @Test(arguments: folders)
  func givesTheLibrarysIDsAndTexts(folder: URL) throws {
    let tokenizer = try Tokenizer(
      huggingFaceFile: folder.appendingPathComponent("tokenizer.json").path)
    let cases = try #require(
      Fixtures.json(folder.appendingPathComponent("cases.json")).arrayValue)
    #expect(!cases.isEmpty)
    for entry in cases {
      let text = try #require(entry["text"]?.stringValue)
      let plain = try tokenizer.encode(text, addSpecialTokens: false)
      let full = try tokenizer.encode(text, addSpecialTokens: true)
      #expect(
        full.map { .int(Int($0)) } == entry["ids"]?.arrayValue, "ids of \(text.debugDescription)")
      #expect(
        plain.map { .int(Int($0)) } == entry["ids_without_special"]?.arrayValue,
        "ids without special tokens of \(text.debugDescription)")
      let decoded = try tokenizer.decode(plain, skipSpecialTokens: false)
      #expect(.string(decoded) == entry["decoded"])
      let skipped = try tokenizer.decode(full, skipSpecialTokens: true)
      #expect(.string(skipped) == entry["decoded_skip_special"])
      try expectStreamed(full, tokenizer, skipped)
    }
  }

  private func expectStreamed(
    _ ids: [TokenID], _ tokenizer: Tokenizer, _ whole: String
  ) throws {
    var stream = tokenizer.streamingDetokenizer(skipSpecialTokens: true)
    var text = ""
    for id in ids { text += try stream.push(id) }
    text += try stream.finish()
    #expect(sameBytes(text, whole))
  }
}
