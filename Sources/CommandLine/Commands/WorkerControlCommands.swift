import ArgumentParser
import Foundation
import WorkerCore
import WorkerDaemon

/// Shows what the worker on this machine does.
struct WorkerStatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show what the worker on this machine does, and why.",
    discussion: """
      Asks the running worker through a socket in its folder; needs no key and no network. `curl --unix-socket \
      FOLDER/control http://worker/status` gives the same JSON.

      EXAMPLES:
        tally worker status
        tally worker status --watch
        tally worker status --json
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Flag(help: "Print JSON.")
  var json = false

  @Flag(help: "Show it anew every second until Ctrl-C.")
  var watch = false

  func run() async throws {
    let socket = ControlSocket(dataFolder: folder.path)
    guard watch else { return try show(await socket.status()) }
    while true {
      let status = try await socket.status()
      if !json && Terminal.output.isInteractive { Terminal.output.write("\u{1b}[H\u{1b}[2J") }
      try show(status)
      try await Task.sleep(for: .seconds(1))
    }
  }

  private func show(_ status: StatusDocument) throws {
    if json { return try printJSON(status) }
    Terminal.output.line(WorkerStatusText.lines(status).joined(separator: "\n"))
  }
}

/// Stops computing for a while.
struct WorkerPauseCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause", abstract: "Stop computing, for a while or until resumed.",
    discussion: """
      The running unit stays where it is and goes on afterwards. A pause outlasts restarts of worker and machine.

      EXAMPLES:
        tally worker pause
        tally worker pause --for 2h
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Option(name: .customLong("for"), help: "How long: 90s, 30m, 2h or 1d.")
  var span: Span?

  func run() async throws {
    let status = try await ControlSocket(dataFolder: folder.path).pause(seconds: span?.seconds)
    Terminal.output.line(status.summary)
  }
}

/// Goes on computing.
struct WorkerResumeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Go on computing as the preferences say.")

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Flag(help: "Whatever hours, battery, people at the machine and other programs say.")
  var always = false

  func run() async throws {
    let status = try await ControlSocket(dataFolder: folder.path).resume(always: always)
    Terminal.output.line(status.summary)
  }
}

/// Ends the worker without loss.
struct WorkerFinishCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "finish", abstract: "Let the worker complete what it holds, then end.",
    discussion: "It takes no further units. `tally worker status` shows how far it is.")

  @OptionGroup var folder: WorkerCommand.FolderOptions

  func run() async throws {
    _ = try await ControlSocket(dataFolder: folder.path).finish()
    Terminal.output.line("the worker takes no more units and ends when it is done")
  }
}

/// Shows and changes what the owner allows.
struct WorkerPreferencesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preferences", abstract: "Show or change what the worker may take, and when.",
    discussion: """
      Without settings, shows those in the worker's folder. KEY=VALUE changes one, for a running worker within a second; \
      an empty value brings the default back.

        cpu_percent             of the time of its threads, 1 to 100 (100)
        threads                 at most (as started)
        memory_in_use_percent   of the machine's memory while somebody uses it (50)
        memory_idle_percent     and while nobody does (90)
        computes_in_use         whether to compute while somebody uses the machine (true)
        idle_after_seconds      without typing after which nobody uses it (180)
        other_load_percent      of all processors taken by other programs, above which it stops; 0: never (25)
        computes_on_battery     (false)
        temperature_celsius     of the warmest sensor, above which it stops (none)
        hours                   "always", "never", or ranges as in "mon-fri 20:00-07:00, sat-sun 00:00-24:00" (always)

      EXAMPLES:
        tally worker preferences
        tally worker preferences cpu_percent=50 threads=2
        tally worker preferences temperature_celsius=
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Argument(help: "KEY=VALUE; may be repeated.")
  var settings: [String] = []

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let file = PreferencesFile(in: try WorkerFolder(folder.path))
    var preferences = try file.load()
    if !settings.isEmpty {
      preferences = try preferences.changed(by: settings)
      try file.save(preferences)
    }
    if json { return try printJSON(preferences) }
    var table = TextTable(.text("SETTING"), .text("VALUE"))
    for (key, value) in try preferences.spelled { table.add(key, value) }
    Terminal.output.line(table.rendered())
  }
}

/// A length of time as people write it.
struct Span: ExpressibleByArgument {
  let seconds: Int

  init?(argument: String) {
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
    guard let last = argument.last, let unit = units[last], let count = Int(argument.dropLast()),
      count > 0, count <= 365 * 86400 / unit
    else { return nil }
    seconds = count * unit
  }
}

extension WorkerPreferences {
  private typealias Settings = [String: JSONSetting]

  /// A value of one of the types that settings have.
  private enum JSONSetting: Codable {
    case flag(Bool)
    case number(Int)
    case text(String)

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if let flag = try? value.decode(Bool.self) {
        self = .flag(flag)
      } else if let number = try? value.decode(Int.self) {
        self = .number(number)
      } else {
        self = .text(try value.decode(String.self))
      }
    }

    init(_ text: Substring) {
      self =
        Bool(String(text)).map { .flag($0) } ?? Int(text).map { .number($0) } ?? .text(String(text))
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .flag(let flag): try container.encode(flag)
      case .number(let number): try container.encode(number)
      case .text(let text): try container.encode(text)
      }
    }

    var spelled: String {
      switch self {
      case .flag(let flag): String(flag)
      case .number(let number): String(number)
      case .text(let text): text
      }
    }
  }

  private var asSettings: Settings {
    get throws { try JSONDecoder().decode(Settings.self, from: JSONEncoder().encode(self)) }
  }

  /// Every key with its value, in the order of the file's documentation; `none` where nothing limits.
  var spelled: [(key: String, value: String)] {
    get throws {
      let settings = try asSettings
      return CodingKeys.allCases.map { ($0.rawValue, settings[$0.rawValue]?.spelled ?? "none") }
    }
  }

  /// - Throws: `ValidationError` for what is no KEY=VALUE, and what the preferences say to the values.
  func changed(by changes: [String]) throws -> WorkerPreferences {
    var settings = try asSettings
    for change in changes {
      let parts = change.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw ValidationError("\"\(change)\" is not KEY=VALUE")
      }
      settings[String(parts[0])] = parts[1].isEmpty ? nil : JSONSetting(parts[1])
    }
    do {
      return try JSONDecoder().decode(Self.self, from: JSONEncoder().encode(settings))
    } catch let DecodingError.typeMismatch(type, context) {
      let key = context.codingPath.map(\.stringValue).joined(separator: ".")
      throw ValidationError("\(key) takes \(type == Bool.self ? "true or false" : "a whole number")")
    } catch let error as PreferenceError {
      throw ValidationError(error.description)
    }
  }
}
