import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import ModelFormats
import TestSupport
import Testing
import Tokenizers

/// What becomes of a model's chat template and special tokens when the model is added.
@Suite struct ChatTemplateImportTests {
  private func folder(_ template: String, _ more: [String: Any] = [:]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try TinyModel.write(to: folder.url)
    let config: [String: Any] = ["chat_template": template, "eos_token": "<|im_end|>"]
    try JSONSerialization.data(withJSONObject: config.merging(more) { $1 })
      .write(to: folder.url.appendingPathComponent("tokenizer_config.json"))
    return folder
  }

  private func add(_ folder: TemporaryFolder, to coordinator: TestCoordinator) async throws {
    _ = try await ModelImport(store: coordinator.store, blobs: coordinator.blobs)
      .add(path: folder.url.path, name: TestCoordinator.model, now: coordinator.clock.now)
  }

  /// The words of the error that a line's request ends with, and its code.
  private func failure(of line: String, _ coordinator: TestCoordinator) async throws -> [String] {
    try await coordinator.test { client in
      let made = try await client.createBatch([line])
      try await coordinator.validate()
      try await coordinator.finalise()
      let ended = try await client.send(.get, "/v1/batches/\(made.id)")
      let file = try #require(ended.json["error_file_id"] as? String)
      let body = try await client.send(.get, "/v1/files/\(file)/content").body
      let json = try #require(try JSONSerialization.jsonObject(with: body) as? [String: Any])
      let response = try #require(json["response"] as? [String: Any])
      let error = try #require((response["body"] as? [String: Any])?["error"] as? [String: Any])
      return try [#require(error["code"] as? String), #require(error["message"] as? String)]
    }
  }

  @Test func unusableTemplatesAreRefusedWithTheirFile() async throws {
    let coordinator = try await TestCoordinator()
    for (template, words) in [
      ("{{ a }", "line 1: unexpected '}'"), ("{{ a | nothing }}", "No filter named 'nothing'."),
    ] {
      let broken = try folder(template)
      let error = await #expect(throws: TokenizerError.self) {
        try await add(broken, to: coordinator)
      }
      let text = String(describing: error)
      #expect(text.contains("tokenizer_config.json") && text.contains("chat template"), "\(text)")
      #expect(text.contains(words), "\(text)")
    }
  }

  @Test func templatesGetTheSpecialTokens() async throws {
    let coordinator = try await TestCoordinator()
    let template =
      "{{ raise_exception(eos_token ~ pad_token ~ own_token ~ additional_special_tokens[1]) }}"
    try await add(
      try folder(
        template,
        [
          "pad_token": "<pad>", "extra_special_tokens": ["own_token": "<own>"],
          "additional_special_tokens": ["<a>", "<b>"],
        ]), to: coordinator)
    let words = try await failure(of: BatchRouteTests.line("a"), coordinator)
    #expect(words[0] == "chat_template_error")
    #expect(words[1].hasSuffix("refuses the messages: <|im_end|><pad><own><b>"), "\(words)")
  }

  /// A limit of ours does not read as if the template had refused the conversation.
  @Test func limitsHaveACodeOfTheirOwn() async throws {
    let coordinator = try await TestCoordinator()
    let endless =
      "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    try await add(try folder(endless), to: coordinator)
    let words = try await failure(of: BatchRouteTests.line("a"), coordinator)
    #expect(words[0] == "chat_template_limit")
    #expect(words[1].contains("more than this server renders"), "\(words)")
  }

  /// Blobs of models that were added before there were lists of tokens.
  @Test func olderBlobsCanBeRead() async throws {
    let coordinator = try await TestCoordinator()
    let record = try await coordinator.addModel()
    let data = try await coordinator.blobs.read(record.tokenizer)
    let file = try SafetensorsFile(data: data, name: "blob")
    let tokens = try file.elements("special_tokens.json", as: UInt8.self, shape: [nil])
    #expect(
      String(decoding: tokens, as: UTF8.self)
        == #"{"bos_token":"<|im_start|>","eos_token":"<|im_end|>"}"#)
    #expect(try TokenizerBlob(decoding: data, name: "blob").encoded() == data)
  }
}
