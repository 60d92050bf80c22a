import ArgumentParser
import Foundation
import WireProtocol
import WorkerCore
import WorkerDaemon

/// Shows and changes which work this machine takes.
struct WorkerChooseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "choose", abstract: "Show or change which work the worker takes.",
    discussion: """
      Without arguments, shows the choices in the worker's folder. KEY=NAMES changes one, for a \
      running worker within a second; an empty list takes everything again.

        kinds      of job: generate, stage_forward, train, validate
        models     as the coordinator's list of models names them
        licences   of models, such as apache-2.0; "unknown" where the coordinator's operator \
      stated none
        pools      public (jobs of everyone), trusted (of the operator, on workers that were \
      invited to them)

      NAMES are separated by commas. A name that begins with "-" is refused; the others are what \
      is wanted, or everything where there are no others. * stands for any text, except for \
      "unknown". Capital letters do not count.

      The coordinator is told and gives nothing else; what comes otherwise is given back. A unit \
      that runs and is not chosen any more is given back, too. `tally worker status` says when \
      work waits that was not chosen.

      EXAMPLES:
        tally worker choose
        tally worker choose "models=smollm2-*, -*-base"
        tally worker choose licences=apache-2.0,mit pools=public
        tally worker choose licences=-unknown
        tally worker choose models=
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Argument(help: "KEY=NAMES; may be repeated.")
  var choices: [String] = []

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let file = ChoicesFile(in: try WorkerFolder(folder.path))
    var chosen = try file.load()
    if !choices.isEmpty {
      do throws(PreferenceError) {
        chosen = try chosen.changed(by: Self.lists(choices))
      } catch {
        throw ValidationError(error.description)
      }
      try file.save(chosen)
    }
    if json { return try printJSON(chosen) }
    var table = TextTable(.text("CHOICE"), .text("TAKEN"))
    for (key, names) in chosen.lists {
      table.add(key, names?.joined(separator: ", ") ?? "everything")
    }
    Terminal.output.line(table.rendered())
  }

  /// The lists by their keys.
  private static func lists(_ changes: [String]) throws(PreferenceError) -> [String: [String]] {
    var lists: [String: [String]] = [:]
    for change in changes {
      let parts = change.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw PreferenceError(key: change, reason: "not KEY=NAMES")
      }
      lists[String(parts[0])] = parts[1].split(separator: ",")
        .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
    return lists
  }
}

/// Choices in a line.
enum WorkChoicesText {
  static func words(_ choices: WorkChoices) -> String {
    choices.lists.compactMap { key, names in
      names.map { "\(key) \($0.joined(separator: ", "))" }
    }.joined(separator: "; ")
  }
}
