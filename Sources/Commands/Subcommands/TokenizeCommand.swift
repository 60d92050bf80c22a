import ArgumentParser
import Foundation
import Tokenizers
import WireProtocol

/// Text to token ids and back.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Turn text into token ids, or ids into text.",
    discussion: """
      Reads JSON lines from standard input and answers each with one on standard output. Blank \
      lines are skipped.

        {"text": "Hello", "add_special_tokens": true}  ->  {"ids": [...]}       (true when left out)
        {"ids": [...], "skip_special_tokens": false}   ->  {"text": "Hello"}   with --decode \
      (false when left out)

      EXAMPLES:
        echo '{"text": "Hello, world"}' | tally tokenize --tokenizer tokenizer.json
        echo '{"ids": [19556, 28]}' | tally tokenize --tokenizer model.gguf --decode
      """)

  @Option(
    help: "A tokenizer.json, a folder that holds one, or a GGUF file.", completion: .file())
  var tokenizer: String

  @Flag(help: "Ids to text.")
  var decode = false

  func run() throws {
    let work = try Tokenizers.TokenizeCommand(path: tokenizer)
    var lines = LineReader(.standardInput)
    var number = 0
    while let line = lines.next() {
      number += 1
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x0d || $0 == 0x09 }) { continue }
      guard let text = String(validating: line, as: UTF8.self) else {
        throw CommandError("line \(number): not UTF-8")
      }
      let answer: String
      do {
        answer = decode ? try work.decode(line: text) : try work.encode(line: text)
      } catch {
        throw CommandError("line \(number): \(error)")
      }
      // A token may hold anything; escaped it is the same JSON.
      try Terminal.output.foreign(
        (Terminal.output.isTerminal ? ForeignText.json(answer) : answer) + "\n")
    }
    if let failure = lines.failure { throw CommandError("line \(number + 1): \(failure)") }
  }
}
