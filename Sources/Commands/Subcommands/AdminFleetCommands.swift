import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation
import WireProtocol
import WorkerCore

/// The machines of the fleet.
struct AdminWorkersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "workers", abstract: "List the workers.",
    discussion: """
      TRUST counts the valid results in a row that another account's machine confirmed; a wrong \
      one makes it 0. STATE is empty, `trusted` (serves the trusted pool), `suspended` after a \
      wrong result of it or its account, or `banned`. MACHINE is what the worker says of itself, \
      unless its owner keeps it private.

      EXAMPLES:
        tally admin workers
        tally admin workers --json | jq '.[] | select(.banned_at != null)'
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  private struct Row: Encodable {
    let id: String
    let name: String
    let account: String
    let account_id: String
    let trusted: Bool
    let last_seen: Int?
    let flops_per_second: Double?
    let running_units: Int
    let consecutive_valid: Int
    let rejected: Int
    let suspended_until: Int?
    let banned_at: Int?
    let ban_reason: String?
    let machine: Machine?
    let has_clones: Bool
  }

  private struct Machine: Encodable {
    let processor_vendor: String?
    let processor_model: String?
    let processors: Int?
    let memory_bytes: Int?
    let system: String?
    let system_version: String?
    let program_version: String?
    let kernels: String?

    init(_ facts: MachineFacts) {
      processor_vendor = facts.processorVendor
      processor_model = facts.processorModel
      processors = facts.processors
      memory_bytes = facts.memoryBytes
      system = facts.systemName
      system_version = facts.systemVersion
      program_version = facts.programVersion
      kernels = facts.kernels
    }
  }

  func run() async throws {
    let folder = try data.open()
    let workers = try await folder.store.fleet(now: folder.now()).workers
    if json {
      return try printJSON(
        workers.map {
          Row(
            id: $0.id, name: $0.name, account: $0.accountName, account_id: $0.accountID,
            trusted: $0.trusted, last_seen: $0.lastSeen?.seconds,
            flops_per_second: $0.flopsPerSecond, running_units: $0.runningUnits,
            consecutive_valid: $0.consecutiveValid, rejected: $0.rejected,
            suspended_until: $0.suspendedUntil?.seconds, banned_at: $0.ban?.since.seconds,
            ban_reason: $0.ban?.reason, machine: $0.machine.map(Machine.init),
            has_clones: $0.hasClones)
        })
    }
    var table = TextTable(
      .text("WORKER"), .text("NAME"), .text("ACCOUNT"), .text("SEEN"), .number("GFLOP/S"),
      .number("RUNNING"), .number("TRUST"), .number("WRONG"), .text("STATE"), .text("VERSION"),
      .text("MACHINE"))
    for worker in workers {
      table.add(
        worker.id, worker.name, worker.accountName,
        worker.lastSeen.map { Spelled.time($0.seconds) } ?? "never",
        worker.flopsPerSecond.map { String(format: "%.0f", $0 / 1e9) } ?? "",
        "\(worker.runningUnits)", "\(worker.consecutiveValid)", "\(worker.rejected)",
        worker.state, worker.machine?.programVersion ?? "",
        worker.machine?.words ?? "")
    }
    Terminal.output.line(table.rendered())
  }
}

extension MachineFacts {
  /// In a few words.
  fileprivate var words: String {
    [
      processors.map { "\($0) x" }, processorModel, memoryBytes.map { Spelled.bytes($0) },
      systemVersion, kernels,
    ].compactMap(\.self).joined(separator: " ")
  }
}

/// Those who get the credit.
struct AdminAccountsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "accounts", abstract: "List the accounts.",
    discussion: """
      EXAMPLES:
        tally admin accounts
        tally admin accounts --json
      """)

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  private struct Row: Encodable {
    let id: String
    let name: String
    let created_at: Int
    let workers: Int
    let running_units: Int
    let accepted: Int
    let rejected: Int
    let credit: Double
    let suspended_until: Int?
    let banned_at: Int?
    let ban_reason: String?
  }

  func run() async throws {
    let folder = try data.open()
    let accounts = try await folder.store.fleet(now: folder.now()).accounts
    if json {
      return try printJSON(
        accounts.map {
          Row(
            id: $0.id, name: $0.name, created_at: $0.createdAt.seconds, workers: $0.workers,
            running_units: $0.runningUnits, accepted: $0.accepted, rejected: $0.rejected,
            credit: $0.credit.value, suspended_until: $0.suspendedUntil?.seconds,
            banned_at: $0.ban?.since.seconds, ban_reason: $0.ban?.reason)
        })
    }
    var table = TextTable(
      .text("ACCOUNT"), .text("NAME"), .number("WORKERS"), .number("RUNNING"), .number("VALID"),
      .number("WRONG"), .number("CREDIT"), .text("STATE"))
    for account in accounts {
      table.add(
        account.id, account.name, "\(account.workers)",
        "\(account.runningUnits)", Spelled.count(account.accepted), "\(account.rejected)",
        Spelled.credit(account.credit.value),
        account.ban?.words ?? account.suspendedUntil.map(suspendedWords) ?? "")
    }
    Terminal.output.line(table.rendered())
  }
}

/// Keeps a worker or an account out.
struct AdminBanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ban", abstract: "Give a worker, or all of an account, no more work.",
    discussion: """
      It gets no leases from now on; its running units and its results that nobody has confirmed \
      yet are given to others; an account's invitations admit nobody. Verified results keep their \
      credit. The worker shows that it is banned, and the reason.

      EXAMPLES:
        tally admin ban worker_0a1b2c3d4e5f6g7h8i9j0k1l --reason "its memory is faulty"
        tally admin ban mallory
      """)

  @Argument(help: "A worker's or account's id or name, from `tally admin workers`.")
  var who: String

  @Option(help: "Why, in a sentence for the volunteer.")
  var reason: String = ""

  @OptionGroup var data: DataOptions

  func validate() throws {
    guard reason.count <= StoreLimit.messageCharacters else {
      throw ValidationError("--reason has at most \(StoreLimit.messageCharacters) characters")
    }
  }

  func run() async throws {
    let folder = try data.open()
    let (store, now) = (folder.store, try await folder.now())
    let subject = try await store.fleet(now: now).subject(who)
    try await store.ban(subject, reason: reason, now: now)
    Terminal.output.line("\(subject.words) is banned")
  }
}

/// Ends a ban.
struct AdminUnbanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unban", abstract: "End a ban.",
    discussion: """
      The worker is served again within ten minutes, or at once when it is restarted. What the ban \
      took back stays with others.

      EXAMPLES:
        tally admin unban mallory
      """)

  @Argument(help: "A worker's or account's id or name.")
  var who: String

  @OptionGroup var data: DataOptions

  func run() async throws {
    let folder = try data.open()
    let store = folder.store
    let subject = try await store.fleet(now: folder.now()).subject(who)
    guard try await store.unban(subject) else {
      throw CommandError("\(subject.words) is not banned")
    }
    Terminal.output.line("\(subject.words) is admitted again")
  }
}

extension FleetOverview {
  /// Whom an operator means by an id or a name that only one has.
  ///
  /// - Throws: `CommandError` that says what else to write.
  func subject(_ who: String) throws -> BanSubject {
    if workers.contains(where: { $0.id == who }) { return .worker(who) }
    if accounts.contains(where: { $0.id == who }) { return .account(who) }
    let named =
      accounts.filter { $0.name == who }.map { BanSubject.account($0.id) }
      + workers.filter { $0.name == who }.map { BanSubject.worker($0.id) }
    guard let first = named.first else {
      throw CommandError("there is no worker or account \"\(who)\"; see `tally admin workers`")
    }
    guard named.count == 1 else {
      let ids = named.map(\.id).joined(separator: ", ")
      throw CommandError("several are called \"\(who)\": give one of \(ids)")
    }
    return first
  }
}

extension BanSubject {
  fileprivate var id: String {
    switch self {
    case .worker(let id), .account(let id): id
    }
  }

  fileprivate var words: String {
    switch self {
    case .worker(let id): "the worker \(id)"
    case .account(let id): "the account \(id)"
    }
  }
}

private func suspendedWords(_ end: Timestamp) -> String {
  "suspended until \(Spelled.time(end.seconds))"
}

extension FleetOverview.Worker {
  fileprivate var state: String {
    if let ban { return ban.words }
    if let suspendedUntil { return suspendedWords(suspendedUntil) }
    if hasClones { return "copied folder: two programs work with its key" }
    return trusted ? "trusted" : ""
  }
}

extension Ban {
  fileprivate var words: String {
    (coversAccount ? "banned account" : "banned")
      + (ForeignText.line(reason).map { ": \($0)" } ?? "")
  }
}
