import ArgumentParser
import Foundation
import Tokenizers

/// A chat template applied to a conversation.
struct RenderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "render", abstract: "Render a chat template: a JSON case in, text out.",
    discussion: """
      Reads one JSON object from standard input: "messages" and, where they matter, "tools", \
      "documents", "add_generation_prompt", "strftime_now" (YYYY-MM-DDTHH:MM:SS, the moment that \
      the template sees) and any variable of the template, such as "bos_token" or \
      "enable_thinking". Writes the text as it is, without a line end of its own; on a terminal \
      without what that would obey. What the template raises is an error.

      Messages are handed over as in a batch: a role "developer" that the template does not name \
      as "system"; content parts as they are where the template takes parts, joined by line ends \
      where it does not. A message that the template leaves out is named on standard error.

      EXAMPLE:
        echo '{"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": true}' \\
          | tally render --template model.gguf
      """)

  @Option(
    help: "A template's text, a JSON file or Hugging Face folder that holds one, or a GGUF file.",
    completion: .file())
  var template: String

  func run() throws {
    let work = try Tokenizers.RenderCommand(path: template)
    let input = try FileHandle.standardInput.readToEnd() ?? Data()
    guard let text = String(validating: input, as: UTF8.self) else {
      throw CommandError("the case is not UTF-8")
    }
    let now = TemplateClock(secondsSince1970: Int64(Date().timeIntervalSince1970))
    let rendered = try work.conversation(caseJSON: text, now: now)
    try Terminal.output.foreign(rendered.text)
    for index in rendered.ignored {
      Terminal.error.line(
        "The template leaves out messages[\(index)]; a batch refuses such a conversation.")
    }
  }
}
