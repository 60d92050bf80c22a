import ArgumentParser
import Foundation
import UnixSignals

/// Shows the whole of it on one machine.
struct DemoCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Run a verified batch with a coordinator and two workers on this machine.",
    discussion: """
      Starts a coordinator and one worker process each for two accounts, in a temporary folder, on \
      loopback, over TLS; submits a file of prompts; has every unit run by both and compared; \
      shows answers, what was verified, and who contributed; and stops everything. `Deploy/demo` \
      fetches a model and calls this.

      EXAMPLE:
        tally demo --model SmolLM2-135M-Instruct.Q4_1.gguf --prompts Deploy/demo-prompts.jsonl
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.", completion: .file())
  var model: String

  @Option(help: "A JSONL file of batch requests.", completion: .file(extensions: ["jsonl"]))
  var prompts: String

  @Option(help: "What the prompts call the model.")
  var modelName = "smollm2-135m-instruct"

  @Option(
    help: "Threads of each worker; half of the processors that this process may use when left out.")
  var threads: Int?

  @Option(help: "Answers to show.")
  var show = 6

  @Option(help: "Also write all answers here.", completion: .file())
  var output: String?

  @Flag(help: "Keep the temporary folder, with the logs.")
  var keep = false

  func validate() throws {
    for path in [model, prompts] where !FileManager.default.isReadableFile(atPath: path) {
      throw ValidationError("cannot read \(path)")
    }
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads takes 1 to 1024")
    }
    guard show >= 0 else { throw ValidationError("--show takes 0 or more") }
  }

  func run() async throws {
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup)
    let work = Task { try await demonstrate() }
    let listener = Task {
      for await _ in signals {
        work.cancel()
      }
    }
    let outcome = await work.result
    listener.cancel()
    do {
      try outcome.get()
    } catch {
      // A client that was interrupted reports it in its own way; what counts is that we were asked
      // to stop.
      guard work.isCancelled else { throw error }
      Terminal.error.line("\nStopped; nothing is left running.")
      throw ExitCode(130)
    }
  }

  private func demonstrate() async throws {
    let fleet = try DemoFleet()
    do {
      try await DemoRun(command: self, fleet: fleet).run()
    } catch {
      await fleet.close(keepingFolder: keep)
      throw error
    }
    await fleet.close(keepingFolder: keep)
    if keep { Terminal.output.line("Kept: \(fleet.folder.path)") }
  }
}
