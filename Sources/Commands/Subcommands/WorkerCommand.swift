import ArgumentParser
import Foundation
import Kernels
import WireProtocol
import WorkerCore
import WorkerDaemon

/// Lends this machine to a coordinator.
struct WorkerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "worker", abstract: "Lend this machine's spare time to a coordinator.",
    discussion: """
      A worker only calls out, over HTTPS to one address: nothing connects to your machine. It \
      fetches models and prompts, computes, and sends results that the coordinator verifies before \
      they count for your account. Its private key never leaves the machine.

      EXAMPLE:
        tally worker join tally1.eyJhdXRob3JpdHki...
        tally worker run --threads 2
        tally worker status --watch
        tally worker pause --for 2h
        tally worker preferences cpu_percent=50 "hours=mon-fri 20:00-07:00, sat-sun 00:00-24:00"
      """,
    subcommands: [
      Join.self, Run.self, WorkerStatusCommand.self, WorkerPauseCommand.self,
      WorkerResumeCommand.self, WorkerFinishCommand.self, WorkerLogsCommand.self,
      WorkerPreferencesCommand.self, WorkerChooseCommand.self, WorkerAccountCommand.self,
      WorkerDoctorCommand.self, WorkerMoveCommand.self, WorkerRenameCommand.self,
      WorkerLeaveCommand.self,
    ])

  /// Where a worker keeps what it has.
  struct FolderOptions: ParsableArguments {
    @Option(
      help: ArgumentHelp(
        "The worker's folder: its key, certificate, results and downloaded models.",
        discussion: """
          When left out: ~/.local/share/tally/worker, or for root the installed service's, \
          /var/lib/tallystick-worker.
          """, valueName: "folder"),
      completion: .directory)
    var data: String?

    var path: String { data ?? DataOptions.shared("worker").path }
  }

  struct Join: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Join a coordinator with an invitation, once.",
      discussion: """
        The coordinator's operator makes invitations with `tally invite`. This machine makes a key \
        of its own and gets a certificate for it; the coordinator is recognised by the fingerprint \
        in the invitation before anything secret is sent. Where the Debian package's service is \
        installed, root's join starts it too, so that nothing is left to do. An invitation may \
        serve several machines; joining again renews a membership that was lost, follows the \
        coordinator to another address (the key, the id and results stay), and with --name renames \
        the machine.

        EXAMPLES:
          tally worker join tally1.eyJhdXRob3JpdHki... --name attic
          sudo tally worker join tally1.eyJhdXRob3JpdHki...
        """)

    @Argument(help: "The invitation, one line that starts with \"tally1.\"")
    var invitation: String

    @Option(help: "What statistics call this machine; its host name when left out.")
    var name: String?

    @OptionGroup var folder: FolderOptions

    func run() async throws {
      var configuration = WorkerConfiguration(dataFolder: folder.path)
      let invitation = try Invitation(spelled: invitation)
      configuration.invitation = invitation
      if let name { configuration.workerName = name }
      let service = SystemService("worker")
      let isService = folder.path == service.folder && service.isManaged
      // A worker that runs keeps its folder to itself, and is started again below.
      let wasRunning = isService && WorkerDaemon.runs(in: folder.path)
      if wasRunning { try service.control("stop") }
      let before = try? WorkerDaemon.membership(in: folder.path)
      let member: Membership
      do {
        member = try await WorkerDaemon.join(configuration)
      } catch {
        if wasRunning { try service.control("start") }
        guard let failure = error as? RequestFailure, case .unreachable = failure else {
          throw error
        }
        throw CommandError("\(failure)\(ProxySettings.way(to: invitation.url))")
      }
      Terminal.output.line(
        "\(member.record.workerID) of \(member.record.accountName) at \(member.record.url)")
      if let name, before?.record.workerID == member.record.workerID {
        try await WorkerRenameCommand.rename(folder.path, to: name)
        Terminal.error.line("This machine is called \(name) now.")
      }
      guard isService else {
        let option = folder.data.map { " --data \($0)" } ?? ""
        Terminal.error.line("Start it with: tally worker run\(option)")
        return tellOfConsent(member.record.accountName, "tally", option)
      }
      SystemService.handOver(folder.path)
      try service.control("restart")
      Terminal.error.line(
        "It works now, and after every start. See it with: sudo tally worker status")
      tellOfConsent(member.record.accountName, "sudo tally", "")
    }

    /// Nobody is asked by a script.
    private func tellOfConsent(_ account: String, _ program: String, _ option: String) {
      guard Terminal.error.isInteractive else { return }
      Terminal.error.line(
        "Whether pages name \(account) is for you to decide; once it runs: \(program) worker "
          + "account\(option)")
    }
  }

  struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Work until stopped, in the foreground.",
      discussion: """
        Ctrl-C or SIGTERM ends it cleanly: the running unit is finished if that takes less than \
        --grace-seconds, else given back. Results that could not be sent are kept and sent at the \
        next start.

        What the running unit has finished is written to the folder every --checkpoint-seconds. \
        After a kill, a crash or a power cut the next start goes on from there if the coordinator \
        still waits for the unit. With --keep-units, which a service manager (systemd) implies, a \
        stop keeps the unit in the same way and waits for nothing, so that a restart of the \
        machine loses no work; `tally worker finish` completes it.

        It starts by measuring what the machine is worth. Unless --nice says otherwise it computes \
        only when nothing else wants to; with `setsid` before it, that holds against programs of \
        other terminals too. What it may take and when it computes are the owner's preferences \
        (see `tally worker preferences`), which may be changed while it runs.

        With --invitation it joins first if it has not yet: one command for containers and \
        clusters. Then a coordinator that refuses the invitation ends it, unless a service manager \
        started it. Once it is a member, no answer of the coordinator ends it: it keeps its key \
        and results, says in its status why it is turned away, and asks again, an hour apart at \
        most. With an invitation at hand it then joins again by itself.

        EXAMPLES:
          tally worker run
          tally worker run --invitation tally1.eyJhdXRob3JpdHki...
          setsid tally worker run
          tally worker run --threads 2 --memory 4 --cache-size 10
        """)

    @OptionGroup var folder: FolderOptions

    @Option(
      help: ArgumentHelp(
        "Joins with this invitation unless the worker has joined; TALLY_INVITATION when left out.",
        discussion: "In the environment it is hidden from other users of the machine."))
    var invitation: String?

    @Option(help: "What statistics call this machine, if it joins; its host name when left out.")
    var name: String?

    @Option(
      help: """
        Threads to compute with, at most; when left out, every processor that this process may \
        use.
        """)
    var threads: Int?

    @Option(help: "Memory for a unit, in GB, at most; the preferences may allow less.")
    var memory: Double?

    @Option(help: "Disk for downloaded models, in GB.")
    var cacheSize = 20.0

    @Option(help: "Seconds of work to ask for at a time.")
    var secondsWanted = 60

    @Option(help: "Seconds that a running unit may go on after a request to stop.")
    var graceSeconds = 30

    @Flag(
      inversion: .prefixedNo,
      help: ArgumentHelp(
        "Keep the held unit over a stop for the next start.",
        discussion: """
          Left out: yes under a service manager, else no. Its lease ends as if the machine were \
          silent.
          """))
    var keepUnits: Bool?

    @Option(help: "Seconds between writes of what the running unit has finished.")
    var checkpointSeconds = 10

    @Option(
      help: "The priority, 19 (only when nothing else wants to compute) to 0 (as any program).")
    var nice = 19

    @Flag(
      help: ArgumentHelp(
        "Compute whatever else the machine does.",
        discussion: "Hours, battery, people at the machine and other programs do not count then."))
    var always = false

    @Option(
      help: ArgumentHelp(
        "A file that holds the passphrase of the key.",
        discussion: """
          Else systemd's credential tally-key-passphrase, TALLY_KEY_PASSPHRASE, or a generated one \
          in the folder.
          """),
      completion: .file())
    var passphraseFile: String?

    @Option(
      help: ArgumentHelp(
        "For tests of verification: falsify this share of the results.", visibility: .hidden))
    var falsifyShare = 0.0

    @OptionGroup var logging: LoggingOptions
    @OptionGroup var parent: ParentOptions

    func validate() throws {
      if let threads, !(1...1024).contains(threads) {
        throw ValidationError("--threads takes 1 to 1024")
      }
      guard (memory ?? 1) > 0, (memory ?? 1) < 1e6 else {
        throw ValidationError("--memory takes GB, more than 0")
      }
      guard cacheSize > 0, cacheSize < 1e6 else {
        throw ValidationError("--cache-size takes GB, more than 0")
      }
      guard (0...19).contains(nice) else { throw ValidationError("--nice takes 0 to 19") }
      guard (1...86400).contains(secondsWanted) else {
        throw ValidationError("--seconds-wanted takes 1 to 86400")
      }
      guard (0...86400).contains(graceSeconds) else {
        throw ValidationError("--grace-seconds takes 0 to 86400")
      }
      guard (0...86400).contains(checkpointSeconds) else {
        throw ValidationError("--checkpoint-seconds takes 0 to 86400")
      }
    }

    func run() async throws {
      let environment = ProcessInfo.processInfo.environment
      var configuration = WorkerConfiguration(dataFolder: folder.path)
      configuration.invitation = try (invitation ?? environment["TALLY_INVITATION"]).map {
        try Invitation(spelled: $0)
      }
      if let name { configuration.workerName = name }
      if let threads { configuration.threads = threads }
      if let memory { configuration.memoryLimitBytes = Int(memory * 1e9) }
      configuration.cacheLimitBytes = Int(cacheSize * 1e9)
      configuration.secondsWanted = secondsWanted
      configuration.graceSeconds = graceSeconds
      configuration.checkpointSeconds = checkpointSeconds
      if let passphraseFile { configuration.passphrase = .file(passphraseFile) }
      if falsifyShare > 0 {
        configuration.resultTransformer = .wrong(rate: falsifyShare, seed: 1)
      }
      configuration.computesAlways = always
      configuration.kernels = try KernelSet.best(environment: environment).variant.rawValue
      ProcessPriority.lower(to: nice)
      parent.watch()
      Terminal.error.line(try machineSpeed(threads: configuration.threads).description)
      let line = WorkerStatusLine()
      defer { line.finish() }
      let manager = ServiceManager()
      configuration.keepsUnits = keepUnits ?? (manager != nil)
      configuration.endsWhenTurnedAwayAtFirst = manager == nil
      let memory = IdleMemory()
      if let manager, let pulse = manager.pulse {
        configuration.pulse = Pulse(every: pulse) { manager.beat() }
      }
      try await WorkerDaemon.run(
        configuration: configuration, logger: logging.makeLogger("worker")
      ) { report in
        line.show(report)
        memory.look(at: report)
        manager?.tell(report.summary)
      }
      manager?.tellStopping()
    }

    /// What this machine will be worth to the coordinator, once its kernels were tried: a machine
    /// that computes wrong is better told now than suspended after its first result.
    private func machineSpeed(threads: Int) throws -> MachineSpeed {
      let kernels = try KernelSet.best(environment: ProcessInfo.processInfo.environment)
      let compute = try Compute(kernels: kernels, threads: threads)
      do {
        var test = try KernelSelfTest(compute, seed: .random(in: .min ... .max))
        try test.run()
      } catch let difference as KernelSelfTest.Difference {
        throw CommandError(
          "this machine computes wrong: \(difference). See more with: tally worker doctor")
      }
      return try MachineSpeed.measure(compute)
    }
  }
}
