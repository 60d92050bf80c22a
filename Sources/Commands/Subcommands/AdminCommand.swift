import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation
import WireProtocol

/// What an operator does to a coordinator that runs.
struct AdminCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "admin", abstract: "Steer a coordinator while it runs.",
    discussion: """
      These commands open the coordinator's data folder on its machine, whether it runs or not; \
      what they set holds from the next request on and outlasts restarts. `tally admin show` says \
      what is set.

      EXAMPLES:
        tally admin drain --wait && systemctl restart tallystick-coordinator
        tally admin message "Maintenance on Sunday from 08:00 to 09:00 UTC"
        tally admin ban attic-pc --reason "its memory is faulty; write to ops@example.org"
        tally admin quota thesis --requests-a-day 100000 --stored-bytes 5000000000
        tally admin backup /var/backups/tally-monday
      """,
    subcommands: [
      Show.self, Pause.self, Resume.self, Drain.self, Message.self, MinimumWorkerVersion.self,
      AdminAnnounceAddressCommand.self,
      AdminWorkersCommand.self, AdminAccountsCommand.self, AdminBanCommand.self,
      AdminUnbanCommand.self, AdminWeightCommand.self, AdminQuotaCommand.self,
      AdminPriorityCommand.self, AdminAuditsCommand.self, AdminStorageCommand.self,
      AdminBackupCommand.self, AdminRestoreCommand.self, AdminPageKeyCommand.self,
    ])

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say what is set, and how many units run.",
      discussion: """
        EXAMPLES:
          tally admin show
          tally admin show --json
        """)

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var data: DataOptions

    private struct Report: Encodable {
      let leasing: String
      let running_units: Int
      let message: String?
      let minimum_worker_version: String?
      let next_address: String?
    }

    func run() async throws {
      let store = try data.open().store
      let (state, running) = (try await store.administration(), try await store.runningLeases())
      if json {
        return try printJSON(
          Report(
            leasing: state.leasing.rawValue, running_units: running, message: state.message,
            minimum_worker_version: state.minimumWorkerVersion?.description,
            next_address: state.nextAddress))
      }
      Terminal.output.line("leasing                 \(state.leasing.words)")
      Terminal.output.line("running units           \(running)")
      Terminal.output.line("message                 \(state.message ?? "none")")
      Terminal.output.line(
        "minimum worker version  \(state.minimumWorkerVersion?.description ?? "any")")
      Terminal.output.line("announced address       \(state.nextAddress ?? "none")")
    }
  }

  struct Pause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Hand out no more units; running ones go on.",
      discussion: """
        Batches are still taken and results too. Workers say that the coordinator is paused and \
        ask again. `tally admin resume` ends it.

        EXAMPLES:
          tally admin pause
        """)

    @OptionGroup var data: DataOptions

    func run() async throws {
      let store = try data.open().store
      try await store.setLeasing(.paused)
      Terminal.output.line("paused; \(Running.words(try await store.runningLeases()))")
    }
  }

  struct Resume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Hand out units again after a pause or drain.",
      discussion: """
        EXAMPLES:
          tally admin resume
        """)

    @OptionGroup var data: DataOptions

    func run() async throws {
      try await data.open().store.setLeasing(.open)
      Terminal.output.line("units are handed out again")
    }
  }

  struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Hand out no more units, and say when none runs any more.",
      discussion: """
        For maintenance that workers should not feel. A coordinator may also be stopped at any \
        moment: workers keep their results and send them later. Exit code 0 with --wait means that \
        nothing runs; interrupted, it stays draining. `tally admin resume` ends it.

        EXAMPLES:
          tally admin drain
          tally admin drain --wait
        """)

    @Flag(help: "Wait until no unit runs any more.")
    var wait = false

    @OptionGroup var data: DataOptions

    func run() async throws {
      let store = try data.open().store
      try await store.setLeasing(.draining)
      var running = try await store.runningLeases()
      guard wait, running > 0 else {
        return Terminal.output.line("draining; \(Running.words(running))")
      }
      let most = running
      var bar = ProgressBar()
      while running > 0 {
        guard try await store.administration().leasing == .draining else {
          bar.finish()
          throw CommandError("somebody ended the drain while \(Running.words(running))")
        }
        bar.show(
          fraction: Double(most - running) / Double(max(most, 1)), detail: Running.words(running))
        try await Task.sleep(for: .milliseconds(500))
        running = try await store.runningLeases()
      }
      bar.finish()
      Terminal.output.line("drained; \(Running.words(0))")
    }
  }

  struct Message: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Tell volunteers something.",
      discussion: """
        Workers show it in `tally worker status` and log it once, when they ask for work the next \
        time.

        EXAMPLES:
          tally admin message "Maintenance on Sunday from 08:00 to 09:00 UTC"
          tally admin message --clear
        """)

    @Argument(help: "One line of at most 500 characters.")
    var text: String?

    @Flag(help: "Say nothing any more.")
    var clear = false

    @OptionGroup var data: DataOptions

    func validate() throws {
      guard (text == nil) == clear else {
        throw ValidationError("give a TEXT or --clear")
      }
      if let text {
        guard !text.isEmpty, text.count <= StoreLimit.messageCharacters else {
          throw ValidationError("a message has 1 to \(StoreLimit.messageCharacters) characters")
        }
      }
    }

    func run() async throws {
      try await data.open().store.setMessage(text)
      Terminal.output.line(text == nil ? "no message" : "workers are told from their next lease on")
    }
  }

  struct MinimumWorkerVersion: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "minimum-worker-version", abstract: "Ask older workers to upgrade.",
      discussion: """
        Workers of an older version get no more units and nobody joins with one: they stop and say \
        what to upgrade. What they hold is still taken. A version above the coordinator's own, or \
        one that would put off most of the workers that asked for work within a day, is refused \
        unless --force says that it is meant.

        EXAMPLES:
          tally admin minimum-worker-version 0.2.0
          tally admin minimum-worker-version 0.2.0 --force
          tally admin minimum-worker-version --clear
        """)

    @Argument(help: "X.Y.Z, as `tally --version` prints it.")
    var version: String?

    @Flag(help: "Admit any version.")
    var clear = false

    @Flag(help: "Set it although it puts off most workers, or is above the coordinator's own.")
    var force = false

    @OptionGroup var data: DataOptions

    func validate() throws {
      guard (version == nil) == clear else { throw ValidationError("give a version or --clear") }
      if let version, ProgramVersion(version) == nil {
        throw ValidationError("a version is three numbers, such as 0.2.0, not \"\(version)\"")
      }
    }

    func run() async throws {
      let minimum = version.flatMap(ProgramVersion.init)
      let folder = try data.open()
      let store = folder.store
      if let minimum, !force, let objection = try await objection(to: minimum, folder) {
        throw CommandError("\(objection). Nothing was changed; --force sets it all the same")
      }
      try await store.setMinimumWorkerVersion(minimum)
      Terminal.output.line(
        minimum.map { "workers older than \($0) are asked to upgrade" } ?? "any version is admitted"
      )
    }

  private func objection(
    to minimum: ProgramVersion, _ folder: DataFolder
  ) async throws -> String? {
      guard let own = ProgramVersion(ProtocolVersion.program) else { return nil }
      let now = try await folder.now()
      let yesterday = now.adding(seconds: -86400)
      let present = try await folder.store.fleet(now: now).workers.filter {
        $0.lastSeen.map { $0 >= yesterday } ?? false
      }
      return MinimumVersion.objection(
        to: minimum, own: own,
        fleet: present.map { $0.machine?.programVersion.flatMap(ProgramVersion.init) })
    }
  }
}

/// How many units run, in words.
private enum Running {
  static func words(_ count: Int) -> String {
    switch count {
    case 0: "no unit runs"
    case 1: "1 unit runs"
    default: "\(Spelled.count(count)) units run"
    }
  }
}

extension LeasingState {
  fileprivate var words: String {
    switch self {
    case .open: "open"
    case .paused: "paused: no new leases (tally admin resume ends it)"
    case .draining: "draining: no new leases (tally admin resume ends it)"
    }
  }
}
