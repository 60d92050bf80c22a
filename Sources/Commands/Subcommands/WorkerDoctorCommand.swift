import ArgumentParser
import Foundation
import Kernels
import MachineLimits
import Models
import WireProtocol
import WorkerCore
import WorkerDaemon

/// Looks at everything that a worker needs.
struct WorkerDoctorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Examine this machine: would its results be right, and can it work?",
    discussion: """
      Tries the processor (every kernel variant must give the bits of the scalar reference, and \
      products must agree with OpenBLAS where that is installed), the memory, the disk, the clock, \
      and the way to the coordinator through HTTPS_PROXY and NO_PROXY, and says whether energy can \
      be measured. The exit code is 1 if something keeps the worker from working or its results \
      from being right. It may run beside a worker; then both are slower.

      EXAMPLES:
        tally worker doctor
        tally worker doctor --seconds 600
        sudo tally worker doctor --json
      """)

  @OptionGroup var folder: WorkerCommand.FolderOptions

  @Option(
    help: "Seconds to keep the processor busy; unstable machines may need minutes to show it.")
  var seconds = 5.0

  @Option(help: "Memory to try, in GB; a quarter of what is free, at most 2, when left out.")
  var memory: Double?

  @Option(help: "Threads; when left out, every processor that this process may use.")
  var threads = MachineLimits().threads

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (0...86400).contains(seconds) else { throw ValidationError("--seconds takes 0 to 86400") }
    guard (1...1024).contains(threads) else { throw ValidationError("--threads takes 1 to 1024") }
    guard (memory ?? 1) > 0, (memory ?? 1) < 1e5 else {
      throw ValidationError("--memory takes GB, more than 0")
    }
  }

  func run() async throws {
    let environment = ProcessInfo.processInfo.environment
    let processor = ProcessorExamination(
      threads: threads, seconds: seconds, environment: environment)
    var findings: [Finding] = []
    func add(_ finding: Finding) {
      findings.append(finding)
      if !json { Self.show(finding) }
    }
    var bar = ProgressBar()
    func watched(_ what: String, _ body: ((Double) -> Void) -> Finding) {
      let finding = body { share in
        if Terminal.error.isInteractive { bar.show(fraction: min(0.99, share), detail: what) }
      }
      bar.clear()
      add(finding)
    }
    add(limits())
    add(processor.speed())
    watched("trying the kernels") { processor.kernels(progress: $0) }
    add(processor.product())
    watched("trying the memory") { processor.memory(bytes: memoryBytes, progress: $0) }
    add(energy())
    if let problem = try? await ControlSocket(dataFolder: folder.path).status().limits
      .cgroup_problem
    {
      add(.note("worker", "cgroup_weight has no effect: \(problem)"))
    }
    for finding in await worker(environment) { add(finding) }
    if json { try printJSON(findings) }
    if findings.contains(where: { $0.outcome == .bad }) { throw ExitCode.failure }
  }

  private var memoryBytes: Int {
    if let memory { return Int(memory * 1e9) }
    return max(64 << 20, min(2 << 30, SystemMemory.availableBytes() / 4))
  }

  /// What a worker started like this may use.
  private func limits() -> Finding {
    let limits = MachineLimits()
    func because(_ origin: MachineLimits.Origin?) -> String {
      origin.map { " (\($0.rawValue))" } ?? ""
    }
    return .good(
      "limits",
      "\(limits.threads) \(limits.threads == 1 ? "thread" : "threads")"
        + because(limits.threadsOrigin)
        + ", \(Spelled.bytes(limits.memoryBytes)) of memory" + because(limits.memoryOrigin))
  }

  /// Information, never a fault: without counters the worker's energy is an estimate that says so.
  private func energy() -> Finding {
    let allow =
      "allow it until the next start of the machine with: "
      + "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj "
      + "(other programs may then learn from them what this machine computes: CVE-2020-8694)"
    switch EnergySensors().access {
    case .readable(let names):
      return .good(
        "energy", "measured by the processor's counters (RAPL: \(names.joined(separator: ", ")))")
    case .readableByRootAlone:
      return .note(
        "energy",
        "root alone may read the processor's counters (RAPL); a worker of another user, as the "
          + "service is, estimates; "
          + allow)
    case .denied:
      return .note(
        "energy", "an estimate: the processor's counters (RAPL) are closed to this user; " + allow)
    case .absent:
      return .note(
        "energy", "an estimate: no energy counters (RAPL) here, as in virtual machines; "
          + "preference watts_per_core says what a busy processor takes")
    }
  }

  private static func show(_ finding: Finding) {
    let mark =
      switch finding.outcome {
      case .good: "ok  "
      case .note: "note"
      case .bad: "BAD "
      }
    let subject = finding.subject.padding(toLength: 12, withPad: " ", startingAt: 0)
    Terminal.output.line("\(mark)  \(subject)  \(finding.detail)")
  }

  // MARK: The worker

  private func worker(_ environment: [String: String]) async -> [Finding] {
    let examination: WorkerExamination
    let member: Membership?
    do {
      examination = try WorkerExamination(folder.path, environment: environment)
      member = try examination.membership()
    } catch {
      return [.note("worker", "\(error)")]
    }
    var findings = [disk(examination)]
    guard let member else {
      return findings + [.note("worker", "has not joined yet: tally worker join INVITATION")]
    }
    findings.append(certificate(member))
    return findings + (await connection(examination, member))
  }

  private func disk(_ examination: WorkerExamination) -> Finding {
    do {
      let disk = try examination.disk()
      let detail =
        "\(Spelled.bytes(disk.freeBytes)) free, writes \(Spelled.bytes(Int(disk.writeSpeed))) a "
        + "second"
      return disk.freeBytes < 2_000_000_000
        ? .note("disk", detail + ": most models will not fit") : .good("disk", detail)
    } catch {
      return .bad("disk", "\(error)")
    }
  }

  private func certificate(_ member: Membership) -> Finding {
    let days = (member.record.notAfter - Int(Date().timeIntervalSince1970)) / 86400
    let who = "\(member.record.workerID) of \(member.record.accountName)"
    guard days >= 0 else {
      return .bad(
        "worker",
        "\(who): its certificate has ended by this machine's clock; if the clock is right, join "
          + "again with a new invitation")
    }
    return .good("worker", "\(who); its certificate is good for \(days) days and renewed before")
  }

  private func connection(
    _ examination: WorkerExamination, _ member: Membership
  ) async -> [Finding] {
    do {
      let answer = try await examination.answer(of: member)
      let way = answer.proxy.map { " through \($0)" } ?? ""
      let time = "\(Int((answer.seconds * 1000).rounded())) ms"
      return [
        .good("network", "\(answer.coordinator) answers in \(time)\(way)"),
        clock(answer.clockAheadSeconds),
      ]
    } catch {
      let way = ProxySettings.way(to: member.record.url)
      let network = Finding.bad("network", "\(member.record.url)\(way): \(error)")
      guard let ahead = await examination.unverifiedClockAhead(of: member) else { return [network] }
      return [network, clock(ahead)]
    }
  }

  private func clock(_ ahead: Double?) -> Finding {
    guard let ahead else {
      return .note("clock", "the coordinator's answer had no time to compare with")
    }
    // The coordinator tells whole seconds, some time before the answer is here.
    let seconds = Int(ahead.rounded())
    guard abs(seconds) > 5 else { return .good("clock", "agrees with the coordinator's") }
    let detail = "\(abs(seconds)) s \(seconds > 0 ? "ahead of" : "behind") the coordinator's"
    return abs(seconds) > 300
      ? .bad(
        "clock",
        detail
          + ": certificates may not be valid yet or any more; set it (timedatectl set-ntp true)")
      : .note("clock", detail)
  }
}
