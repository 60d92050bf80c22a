import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import TestSupport
import Testing

/// What a model's files say of its licence and of what it is derived from; nothing is guessed.
@Suite struct ModelStatementTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(_ text: String, _ name: String) throws {
    try Data(text.utf8).write(to: folder.url.appendingPathComponent(name))
  }

  private func stated() throws -> ModelStatement {
    try ModelStatement(path: folder.url.path, notices: folder.url)
  }

  @Test(arguments: [
    ("---\nlicense: Apache-2.0\ntags: [x]\n---\n# Model", "apache-2.0"),
    ("---\r\nlicense: \"mit\"\r\n---\r\n", "mit"),
    ("---\nlicense: mit # as the code\n---\n", "mit"),
    ("---\nlicense:\n- mit\n---\n", "mit"),
    ("---\nlicense: other\nlicense_name: tongyi-qianwen\n---\n", "tongyi-qianwen"),
    ("", nil), ("license: mit", nil), ("---\nlicense: mit", nil),
    ("---\nlicense: unknown\n---\n", nil), ("---\nlicense: a licence of mine\n---\n", nil),
    ("---\n---\nlicense: mit", nil), ("---\nlicense:\ntags:\n- mit\n---\n", nil),
  ])
  func theCardStatesALicence(_ card: String, _ licence: String?) throws {
    try write(card, "README.md")
    #expect(try stated().licence == licence)
  }

  @Test(arguments: [
    ("base_model: Qwen/Qwen3-8B", ["Qwen/Qwen3-8B"]),
    ("base_model:\n- a/b\n- \"c/d\"\ntags:\n- e", ["a/b", "c/d"]),
    ("base_model:\n  - a/b\n", ["a/b"]), ("base_model: [a/b, 'c/d']", ["a/b", "c/d"]),
    ("base_model_relation: finetune", []), ("base_model:", []),
    ("base_model: \u{1b}]52;c;x\u{7}", []),
  ])
  func theCardStatesWhatTheModelIsDerivedFrom(_ lines: String, _ models: [String]) throws {
    try write("---\n\(lines)\nlicense_link: https://example.org/terms\n---\n", "README.md")
    #expect(try stated().baseModels == models)
    #expect(try stated().licenceLink == "https://example.org/terms")
  }

  @Test func theOperatorStatesAnIdentifier() throws {
    #expect(try ModelLicence.checked(" Llama3.2 ") == "llama3.2")
    for bad in ["", "a b", "a,b", "-mit", "unknown", "мит", String(repeating: "x", count: 65)] {
      #expect(throws: StoreError.self, "\(bad)") { try ModelLicence.checked(bad) }
    }
  }

  @Test func aFolderSaysItInTheFirstFileThatKnows() throws {
    #expect(try stated() == ModelStatement(path: "/does/not/exist", notices: nil))
    try write("some text of somebody", "LICENSE")
    #expect(try stated().licence == nil)
    #expect(try stated().licenceText == "some text of somebody")
    try write("\n      Apache License\n   Version 2.0, January 2004\n", "LICENSE")
    #expect(try stated().licence == "apache-2.0")
    try write("---\nlicense: mit\n---\n", "README.md")
    #expect(try stated().licence == "mit")
    try write(#"{"license": "cc-by-4.0"}"#, "config.json")
    #expect(try stated().licence == "cc-by-4.0")
  }

  @Test func aLicenceTellsATerminalNothing() throws {
    try write("one\u{1b}[2J\ttwo\n", "LICENSE")
    #expect(try stated().licenceText == "one[2J\ttwo\n")
  }

  @Test func aLicenceThatIsTooLongIsRefused() throws {
    try write(String(repeating: "x", count: 300_000), "LICENSE")
    #expect(throws: FormatError.self) { try stated() }
  }

  @Test func aGGUFFileStatesItInItsMetadata() throws {
    let path = folder.url.appendingPathComponent("m.gguf")
    try gguf([
      ("general.license", "other"), ("general.license.name", "llama3.2"),
      ("general.license.link", "https://example.org/terms"),
      ("general.base_model.0.name", "A Model"),
      ("general.base_model.1.repo_url", "https://example.org/b"),
    ], baseModels: 2).write(to: path)
    // What lies beside a single file is somebody else's.
    try write("---\nlicense: mit\n---\n", "README.md")
    let statement = try ModelStatement(
      path: path.path, notices: ModelStatement.notices(of: path.path))
    #expect(statement.licence == "llama3.2")
    #expect(statement.licenceLink == "https://example.org/terms")
    #expect(statement.baseModels == ["A Model", "https://example.org/b"])
    #expect(statement.licenceText == nil)
  }

  /// A file of texts and one count, without tensors.
  private func gguf(_ texts: [(String, String)], baseModels: UInt32) -> Data {
    func bytes(_ value: some FixedWidthInteger) -> Data {
      withUnsafeBytes(of: value.littleEndian) { Data($0) }
    }
    func string(_ text: String) -> Data { bytes(UInt64(text.utf8.count)) + Data(text.utf8) }
    var data =
      Data("GGUF".utf8) + bytes(UInt32(3)) + bytes(UInt64(0)) + bytes(UInt64(texts.count + 1))
    for (key, text) in texts { data += string(key) + bytes(UInt32(8)) + string(text) }
    return data + string("general.base_model.count") + bytes(UInt32(4)) + bytes(baseModels)
  }
}
