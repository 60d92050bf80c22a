import Foundation
import ModelFormats
import TestSupport
import Testing
import Tokenizers

/// The special tokens that chat templates get, as transformers' `special_tokens_map` has them.
@Suite struct SpecialTokenTests {
  private func bundle(_ files: [String: String]) throws -> TokenizerBundle {
    let folder = try TemporaryFolder()
    let tokenizer = Data(SmallTokenizer.json(extraTokens: ["<s>"]).utf8)
    try tokenizer.write(to: folder.url.appendingPathComponent("tokenizer.json"))
    for (name, text) in files {
      try Data(text.utf8).write(to: folder.url.appendingPathComponent(name))
    }
    return try TokenizerBundle(path: folder.url.path)
  }

  @Test func foldersNameThem() throws {
    let made = try bundle([
      "tokenizer_config.json": #"""
      {"added_tokens_decoder": {}, "bos_token": {"content": "<s>", "special": true},
       "eos_token": "</s>", "pad_token": "<pad>", "unk_token": null, "cls_token": "<cls>",
       "sep_token": "<sep>", "mask_token": "<mask>",
       "additional_special_tokens": ["<a>", {"content": "<b>"}],
       "extra_special_tokens": {"image_token": "<image>", "messages": "<bad>"}}
      """#,
      "special_tokens_map.json": #"{"pad_token": "<other>"}"#,
    ])
    #expect(
      made.specialTokens.dictionary == [
        "bos_token": .string("<s>"), "eos_token": .string("</s>"), "pad_token": .string("<pad>"),
        "cls_token": .string("<cls>"), "sep_token": .string("<sep>"),
        "mask_token": .string("<mask>"), "image_token": .string("<image>"),
        "additional_special_tokens": .array([.string("<a>"), .string("<b>")]),
      ])
  }

  @Test func olderFoldersHaveAMap() throws {
    let made = try bundle([
      "tokenizer_config.json": #"{"bos_token": "<s>", "eos_token": "</s>"}"#,
      "special_tokens_map.json": #"{"eos_token": "<end>", "pad_token": {"content": "<pad>"}}"#,
    ])
    #expect(
      made.specialTokens.dictionary == [
        "bos_token": .string("<s>"), "eos_token": .string("<end>"), "pad_token": .string("<pad>"),
      ])
  }

  @Test func aMapIsEnough() throws {
    let made = try bundle([
      "special_tokens_map.json": #"{"bos_token": "<s>", "eos_token": {"content": "a"}}"#,
      "chat_template.jinja": "{{ bos_token }}",
    ])
    #expect(
      made.specialTokens.dictionary == ["bos_token": .string("<s>"), "eos_token": .string("a")])
    #expect(made.endIDs == [0x61])
  }

  @Test func ggufFilesNameThem() throws {
    let metadata: ExactDictionary<GGUFValue> = [
      "tokenizer.ggml.model": .string("gpt2"), "tokenizer.ggml.pre": .string("smollm"),
      "tokenizer.ggml.tokens": .strings(["<s>", "</s>", "<pad>", "<unk>", "a"]),
      "tokenizer.ggml.token_type": .integers([3, 3, 3, 2, 1]),
      "tokenizer.ggml.bos_token_id": .integer(0), "tokenizer.ggml.eos_token_id": .integer(1),
      "tokenizer.ggml.padding_token_id": .integer(2),
      "tokenizer.ggml.unknown_token_id": .integer(3),
      "tokenizer.ggml.mask_token_id": .integer(99),
    ]
    let file = try GGUFFile(bytes: Array(GGUFWriter.data(metadata)), name: "m.gguf")
    #expect(
      try TokenizerBundle(gguf: file).specialTokens.dictionary == [
        "bos_token": .string("<s>"), "eos_token": .string("</s>"), "pad_token": .string("<pad>"),
        "unk_token": .string("<unk>"),
      ])
  }

  /// A template that cannot be used is named with its file before it meets a conversation.
  @Test(arguments: [
    ("chat_template.jinja", "{{ a }\n", "chat template: line 1: unexpected '}'"),
    (
      "chat_template.jinja", "\n{{ a | nothing }}",
      "chat template: line 2: No filter named 'nothing'."
    ),
    ("tokenizer_config.json", #"{"chat_template": "{% if %}"}"#, "chat template: line 1: expected"),
    (
      "chat_template.json", #"{"chat_template": "{{ nothing() }}"}"#, "No function named 'nothing'."
    ),
  ])
  func brokenTemplatesAreNamed(file: String, text: String, words: String) throws {
    let broken = try bundle([file: text])
    let error = #expect(throws: TokenizerError.self) { try broken.checkChatTemplate() }
    #expect(error?.description.contains("/\(file): ") == true, "\(String(describing: error))")
    #expect(error?.description.contains(words) == true, "\(String(describing: error))")
  }
}
