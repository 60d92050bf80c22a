import ArgumentParser
import WireProtocol

/// The program's command line: one command a file in `Subcommands/`.
package struct Tally: AsyncParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "tally", abstract: "Volunteer computing for open language models.",
    discussion: """
      A coordinator takes batches of prompts; workers on spare machines run them; every result is \
      verified to the bit before it counts. See `tally help COMMAND` for each of these, with \
      examples.

      Exit codes: 0 done, 1 failed (the reason is on standard error), 3 a batch ended without one \
      answer, 64 the command line was wrong.
      """,
    version:
      "tally \(ProtocolVersion.program) (numerics profile \(ProtocolVersion.numericsProfile))",
    groupedSubcommands: [
      CommandGroup(
        name: "Lend a machine", subcommands: [WorkerCommand.self]),
      CommandGroup(
        name: "Use a coordinator",
        subcommands: [
          SubmitCommand.self, StatusCommand.self, ResultsCommand.self, CancelCommand.self,
          FinetuneCommand.self, PauseCommand.self, ResumeCommand.self, AdapterCommand.self,
          AuditCommand.self,
          StatsCommand.self,
        ]),
      CommandGroup(
        name: "Run a coordinator",
        subcommands: [
          CoordinatorCommand.self, InviteCommand.self, AccountCommand.self, KeyCommand.self,
          ModelCommand.self, AdminCommand.self, DemoCommand.self,
        ]),
      CommandGroup(
        name: "Look closer, on this machine alone",
        subcommands: [
          GenerateCommand.self, LogitsCommand.self, TokenizeCommand.self, RenderCommand.self,
          BenchCommand.self, PerplexityCommand.self, ProveCommand.self,
        ]),
    ])

  package init() {}

  /// Runs the command that the process was started with, and ends the process when it fails.
  package static func main() async {
    // Before there are other threads, which have the priority of those that start them.
    ProcessPriority.giveWayIfNice()
    do {
      var command = try await asyncParseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      let error = ErrorWords.plain(error)
      let status = exitCode(for: error)
      // Help, versions and completions are ours and long.
      if status == .success || status == .validationFailure { exit(withError: error) }
      let message = fullMessage(for: error)
      if !message.isEmpty { Terminal.error.line(message) }
      exit(withError: status)
    }
  }
}
