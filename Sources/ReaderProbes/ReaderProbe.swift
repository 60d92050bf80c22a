import Foundation
import ModelFormats
import Models
import Tokenizers

/// A reader of bytes from outside, driven by fuzzing and by the tests that replay what it found.
package enum ReaderProbe: String, CaseIterable, Sendable {
  case safetensors, gguf, config, tokenizer, sentencepiece, template

  /// Reads bytes, and uses what they say, as far as they go.
  ///
  /// - Returns: whether they were accepted throughout.
  /// - Throws: an error that is not the reader's own, which is a defect.
  package func accepts(_ bytes: [UInt8]) throws -> Bool {
    switch self {
    case .safetensors: try accepted { try readSafetensors(bytes) }
    case .gguf: try readGGUF(bytes)
    case .config: try accepted { try describe(bytes) }
    case .tokenizer:
      try accepted { try use(Tokenizer(huggingFaceJSON: bytes, file: Self.name)) }
    case .sentencepiece:
      try accepted { try use(Tokenizer(sentencePiece: bytes, file: Self.name)) }
    case .template: try accepted { try render(String(decoding: bytes, as: UTF8.self)) }
    }
  }

  /// What errors call the bytes.
  private static let name = "probe"

  private func accepted(_ body: () throws -> Void) throws -> Bool {
    do {
      try body()
      return true
    } catch is FormatError {
      return false
    } catch is TokenizerError {
      return false
    } catch is TemplateError {
      return false
    }
  }

  private func readSafetensors(_ bytes: [UInt8]) throws {
    let file = try SafetensorsFile(bytes: bytes, name: Self.name)
    for name in file.names { _ = try file.withBytes(of: name) { $0.reduce(0, ^) } }
  }

  /// Model, tokenizer and template of a file fail one by one.
  private func readGGUF(_ bytes: [UInt8]) throws -> Bool {
    var file: GGUFFile?
    guard try accepted({ file = try GGUFFile(bytes: bytes, name: Self.name) }), let file else {
      return false
    }
    for tensor in file.tensors {
      _ = file.storage.withUnsafeBytes(tensor.range) { $0.reduce(0, ^) }
    }
    let isModel = try accepted {
      _ = try ModelSummary(try ModelFamilies.describe(file), GGUFTensorSource(file))
    }
    let hasTokenizer = try accepted {
      let bundle = try TokenizerBundle(gguf: file)
      try use(bundle.tokenizer)
      if let template = bundle.chatTemplate { try render(template) }
    }
    return isModel && hasTokenizer
  }

  private func describe(_ bytes: [UInt8]) throws {
    let folder = HuggingFaceFolder(config: try ConfigObject(bytes: bytes, name: Self.name))
    let description = try ModelFamilies.describe(folder)
    _ = description.requiredTensors
    let json = try description.canonicalJSON()
    let again = try JSONDecoder().decode(ModelDescription.self, from: json)
    guard again == description else { throw Difference() }
  }

  private struct Difference: Error {}

  private func use(_ tokenizer: Tokenizer) throws {
    for text in Self.texts { _ = try tokenizer.decode(try tokenizer.encode(text)) }
  }

  /// Words, numbers, white space, scripts, emoji, and what several normalisers change.
  private static let texts = [
    "", "Hello, world! 1234567 it's", "  two\t\n\n spaces  ",
    "\u{1F469}\u{200D}\u{1F52C} \u{FB01}\u{212B}e\u{301}",
    "漢字とかな Ελληνικά", String(repeating: "ab ", count: 100), "<s>[INST] x </s><|im_end|>",
  ]

  private func render(_ source: String) throws {
    var limits = TemplateLimits()
    // What a minute of a loop would show, a short one shows too.
    limits.steps = 200_000
    limits.outputBytes = 4 << 20
    let template = try ChatTemplate(source: source, limits: limits)
    let clock = TemplateClock(year: 2026, month: 1, day: 2)
    for prompt in [true, false] {
      _ = try template.render(
        messages: Self.messages, tools: prompt ? Self.tools : nil, addGenerationPrompt: prompt,
        extra: ["bos_token": .string("<s>"), "eos_token": .string("</s>")], clock: clock)
    }
  }

  private static let messages: TemplateValue = .array([
    message("system", "Be brief."), message("user", "What is 2 + 2?"),
    message("assistant", "<think>\nsum\n</think>\n4"), message("user", "And 3 + 3?"),
  ])

  private static func message(_ role: String, _ content: String) -> TemplateValue {
    .object(["role": .string(role), "content": .string(content)])
  }

  private static let tools: TemplateValue = .array([
    .object([
      "type": .string("function"),
      "function": .object([
        "name": .string("add"), "description": .string("Adds."), "parameters": .object([:]),
      ]),
    ])
  ])
}
