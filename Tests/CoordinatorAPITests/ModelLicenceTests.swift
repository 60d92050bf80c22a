import CoordinatorAPI
import CoordinatorStore
import Foundation
import TestSupport
import Testing

/// What a model's files say of its licence; nothing is guessed.
@Suite struct ModelLicenceTests {
  @Test func frontMatterIsRead() {
    #expect(
      ModelLicence.frontMatter("---\nlicense: Apache-2.0\ntags: [x]\n---\n# Model")
        == "apache-2.0")
    #expect(ModelLicence.frontMatter("---\r\nlicense: \"mit\"\r\n---\r\n") == "mit")
    #expect(
      ModelLicence.frontMatter("---\nlicense: other\nlicense_name: tongyi-qianwen\n---\n")
        == "tongyi-qianwen")
    for none in [
      "", "license: mit", "---\nlicense: mit", "---\nlicense:\n- mit\n---\n",
      "---\nlicense: unknown\n---\n", "---\nlicense: a licence of mine\n---\n",
      "---\n---\nlicense: mit",
    ] {
      #expect(ModelLicence.frontMatter(none) == nil, "\(none)")
    }
  }

  @Test func theOperatorStatesAnIdentifier() throws {
    #expect(try ModelLicence.checked(" Llama3.2 ") == "llama3.2")
    for bad in ["", "a b", "a,b", "-mit", "unknown", "мит", String(repeating: "x", count: 65)] {
      #expect(throws: StoreError.self, "\(bad)") { try ModelLicence.checked(bad) }
    }
  }

  @Test func aFolderSaysItInTheFirstFileThatKnows() throws {
    let folder = try TemporaryFolder()
    func write(_ text: String, _ name: String) throws {
      try Data(text.utf8).write(to: folder.url.appendingPathComponent(name))
    }
    #expect(try ModelLicence.stated(in: folder.url.path) == nil)
    try write("some text of somebody", "LICENSE")
    #expect(try ModelLicence.stated(in: folder.url.path) == nil)
    try write("\n      Apache License\n   Version 2.0, January 2004\n", "LICENSE")
    #expect(try ModelLicence.stated(in: folder.url.path) == "apache-2.0")
    try write("---\nlicense: mit\n---\n", "README.md")
    #expect(try ModelLicence.stated(in: folder.url.path) == "mit")
    try write(#"{"license": "cc-by-4.0"}"#, "config.json")
    #expect(try ModelLicence.stated(in: folder.url.path) == "cc-by-4.0")
  }
}
