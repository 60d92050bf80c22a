import ArgumentParser
import Foundation
import Tokenizers

/// Text to token ids and back.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Turn text into token ids, or ids into text.",
    discussion: """
      Reads JSON lines from standard input and answers each with one on standard output. An empty line is skipped.

        {"text": "Hello", "add_special_tokens": true}   ->  {"ids": [...]}       (true when left out)
        {"ids": [...], "skip_special_tokens": false}    ->  {"text": "Hello"}    with --decode (false when left out)

      EXAMPLES:
        echo '{"text": "Hello, world"}' | tally tokenize --tokenizer tokenizer.json
        echo '{"ids": [19556, 28]}' | tally tokenize --tokenizer model.gguf --decode
      """)

  @Option(
    help: "A tokenizer.json, a folder that holds one, or a GGUF file.", completion: .file())
  var tokenizer: String

  @Flag(help: "Ids to text.")
  var decode = false

  private struct TextLine: Decodable {
    let text: String
    let add_special_tokens: Bool?
  }
  private struct IDLine: Decodable {
    let ids: [TokenID]
    let skip_special_tokens: Bool?
  }
  private struct IDAnswer: Encodable { let ids: [TokenID] }
  private struct TextAnswer: Encodable { let text: String }

  func run() throws {
    let tokenizer = try TokenizerLoader.load(path: tokenizer)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    let decoder = JSONDecoder()
    var lines = LineReader(.standardInput)
    var number = 0
    while let line = lines.next() {
      number += 1
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x0d || $0 == 0x09 }) { continue }
      let answer: Data
      do {
        if decode {
          let request = try decoder.decode(IDLine.self, from: line)
          let text = try tokenizer.decode(
            request.ids, skipSpecialTokens: request.skip_special_tokens ?? false)
          answer = try encoder.encode(TextAnswer(text: text))
        } else {
          let request = try decoder.decode(TextLine.self, from: line)
          let ids = try tokenizer.encode(
            request.text, addSpecialTokens: request.add_special_tokens ?? true)
          answer = try encoder.encode(IDAnswer(ids: ids))
        }
      } catch let error as DecodingError {
        throw CommandError(
          "line \(number): not a JSON object with \(decode ? "\"ids\"" : "\"text\""): \(error.summary)")
      } catch {
        throw CommandError("line \(number): \(error)")
      }
      try FileHandle.standardOutput.write(contentsOf: answer + Data("\n".utf8))
    }
    if let failure = lines.failure { throw CommandError("line \(number + 1): \(failure)") }
  }
}

extension DecodingError {
  /// The decoder's own words, without its dump.
  var summary: String {
    switch self {
    case .typeMismatch(_, let context), .valueNotFound(_, let context),
      .keyNotFound(_, let context), .dataCorrupted(let context):
      let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }
      return (path.isEmpty ? "" : path.joined(separator: ".") + ": ") + context.debugDescription
    @unknown default: return String(describing: self)
    }
  }
}
