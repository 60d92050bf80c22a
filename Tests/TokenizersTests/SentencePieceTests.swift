import Foundation
import ModelFormats
import TestSupport
import Testing
import Tokenizers

/// `.model` files that SentencePiece itself has trained, and what it makes of texts.
@Suite struct SentencePieceTests {
  static let folders: [URL] =
    (try? Fixtures.contents(of: Fixtures.root.appendingPathComponent("sentencepiece"))) ?? []

  @Test func fixturesAreThere() {
    #expect(Self.folders.count >= 5, "no folders in \(Fixtures.root.path)/sentencepiece")
  }

  @Test(arguments: folders)
  func givesTheLibrarysIDsAndTexts(folder: URL) throws {
    let tokenizer = try Tokenizer(
      sentencePieceFile: folder.appendingPathComponent("tokenizer.model").path)
    let unknown = try #require(tokenizer.id(of: "<unk>"))
    let cases = try #require(
      Fixtures.json(folder.appendingPathComponent("cases.json")).arrayValue)
    #expect(cases.count > 50)
    for entry in cases {
      let text = try #require(entry["text"]?.stringValue)
      // A text that spells a control token means it here, as in transformers.
      guard !text.contains("<unk>") else { continue }
      let ids = try tokenizer.encode(text, addSpecialTokens: false)
      #expect(
        ids.map { .int(Int($0)) } == entry["ids"]?.arrayValue, "ids of \(text.debugDescription)")
      let decoded = try tokenizer.decode(
        ids.filter { $0 != unknown }, skipSpecialTokens: false)
      #expect(.string(decoded) == entry["decoded"], "\(text.debugDescription)")
      let full = try tokenizer.encode(text)
      #expect(full.first == tokenizer.id(of: "<s>") && Array(full.dropFirst()) == ids)
    }
  }

  @Test func controlTokensAreRecognisedAndBytesAreNot() throws {
    let folder = try #require(Self.folders.first { $0.lastPathComponent == "bpe_bytes" })
    let tokenizer = try TokenizerBundle(
      path: folder.appendingPathComponent("tokenizer.model").path
    ).tokenizer
    let ids = try tokenizer.encode("<s>a</s>", addSpecialTokens: false)
    #expect(ids.first == tokenizer.id(of: "<s>") && ids.last == tokenizer.id(of: "</s>"))
    let spelled = try tokenizer.encode("<0x41>", addSpecialTokens: false)
    #expect(!spelled.contains(try #require(tokenizer.id(of: "<0x41>"))))
    #expect(try tokenizer.decode(spelled) == "<0x41>")
  }

  /// Cut short anywhere, or with any byte changed, a file is refused or read, and nothing else.
  @Test(arguments: folders)
  func damagedFilesAreRefusedOrRead(folder: URL) throws {
    let bytes = [UInt8](
      try Data(contentsOf: folder.appendingPathComponent("tokenizer.model")))
    for seed in testSeeds(3) {
      var random = SeededRandom(seed: seed)
      for _ in 0..<40 {
        var damaged = bytes
        if random.chance(0.5) {
          damaged.removeLast(Int.random(in: 1...bytes.count, using: &random))
        } else {
          for _ in 0..<3 {
            damaged[Int.random(in: bytes.indices, using: &random)] = .random(
              in: 0...255, using: &random)
          }
        }
        do {
          let tokenizer = try Tokenizer(sentencePiece: damaged, file: "damaged.model")
          _ = try tokenizer.decode(tokenizer.encode("A ﬁne text\n with 日本 in it."))
        } catch let error as TokenizerError {
          #expect("\(error)".contains("damaged.model") || error.code == .unknownToken)
        }
      }
    }
  }
}
