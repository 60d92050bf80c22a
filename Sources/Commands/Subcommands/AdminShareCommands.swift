import ArgumentParser
import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation

/// A key's share of the fleet.
struct AdminWeightCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "weight", abstract: "Change an API key's share of the fleet.",
    discussion: """
      A key of weight 2 gets twice the work done of a key of weight 1 while both have some waiting.

      EXAMPLES:
        tally admin weight thesis 2
      """)

  @Argument(help: "The key's id or name, from `tally key list`.")
  var key: String

  @Argument(help: "0.01 to 100; 1 is usual.")
  var weight: Double

  @OptionGroup var data: DataOptions

  func validate() throws {
    guard (0.01...100).contains(weight) else { throw ValidationError("a weight is 0.01 to 100") }
  }

  func run() async throws {
    let store = try data.open().store
    let record = try await store.keys().named(key)
    try await store.setWeight(weight, ofKey: record.id)
    Terminal.output.line("\(record.id) has weight \(String(format: "%g", weight))")
  }
}

/// What a key may use.
struct AdminQuotaCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quota", abstract: "Show or limit what an API key may use.",
    discussion: """
      A day is the last 24 hours. Requests count when their batch is created; tokens, read and \
      generated, when they are done, so that a batch which began below the limit runs to its end. \
      Files count until they are deleted or expire, results too. Whoever exceeds a limit gets an \
      answer 429 that says which.

      Options that are left out stay as they are; `none` takes a limit away.

      EXAMPLES:
        tally admin quota thesis
        tally admin quota thesis --requests-a-day 100000 --open-batches 5
        tally admin quota thesis --tokens-a-day none --stored-bytes 5000000000
      """)

  @Argument(help: "The key's id or name, from `tally key list`.")
  var key: String

  @Option(help: "Requests in batches created within a day, or none.")
  var requestsADay: Limit?

  @Option(help: "Tokens in batches created within a day, or none.")
  var tokensADay: Limit?

  @Option(help: "Batches that have not ended, or none.")
  var openBatches: Limit?

  @Option(help: "Bytes of all its files together, or none.")
  var storedBytes: Limit?

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  /// A number, or `none` for no limit.
  struct Limit: ExpressibleByArgument {
    let value: Int?

    init?(argument: String) {
      if argument == "none" {
        value = nil
      } else {
        guard let number = Int(argument), number >= 0 else { return nil }
        value = number
      }
    }
  }

  private struct Report: Encodable {
    struct Amounts: Encodable {
      let requests_a_day: Int?
      let tokens_a_day: Int?
      let open_batches: Int?
      let stored_bytes: Int?
    }
    let key: String
    let limits: Amounts
    let used: Amounts

    init(_ key: String, _ quota: Quota, _ usage: Quota.Usage) {
      self.key = key
      limits = Amounts(
        requests_a_day: quota.requestsPerDay, tokens_a_day: quota.tokensPerDay,
        open_batches: quota.openBatches, stored_bytes: quota.storedBytes)
      used = Amounts(
        requests_a_day: usage.requests, tokens_a_day: usage.tokens,
        open_batches: usage.openBatches, stored_bytes: usage.storedBytes)
    }
  }

  func run() async throws {
    let folder = try data.open()
    let store = folder.store
    let record = try await store.keys().named(key)
    var quota = record.quota
    if let requestsADay { quota.requestsPerDay = requestsADay.value }
    if let tokensADay { quota.tokensPerDay = tokensADay.value }
    if let openBatches { quota.openBatches = openBatches.value }
    if let storedBytes { quota.storedBytes = storedBytes.value }
    if quota != record.quota { try await store.setQuota(quota, ofKey: record.id) }
    let usage = try await store.usage(ofKey: record.id, now: folder.now())
    if json { return try printJSON(Report(record.id, quota, usage)) }
    var table = TextTable(.text("QUOTA"), .number("USED"), .number("LIMIT"))
    func add(_ name: String, _ used: Int, _ limit: Int?) {
      table.add(name, Spelled.count(used), limit.map { Spelled.count($0) } ?? "none")
    }
    add("requests a day", usage.requests, quota.requestsPerDay)
    add("tokens a day", usage.tokens, quota.tokensPerDay)
    add("open batches", usage.openBatches, quota.openBatches)
    add("stored bytes", usage.storedBytes, quota.storedBytes)
    Terminal.output.line(table.rendered())
  }
}

/// Which of a key's batches goes first.
struct AdminPriorityCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "priority", abstract: "Move a batch before or behind the others of its key.",
    discussion: """
      Higher runs first among the batches of one API key; keys share the fleet by weight whatever \
      their batches' priority. Running units go on.

      EXAMPLES:
        tally admin priority batch_0a1b2c3d4e5f6g7h8i9j0k1l 10
        tally admin priority batch_0a1b2c3d4e5f6g7h8i9j0k1l -- -10
      """)

  @Argument(help: "The batch's id.")
  var batch: String

  @Argument(help: "-100 to 100; 0 is usual.")
  var priority: Int

  @OptionGroup var data: DataOptions

  func validate() throws {
    guard (-100...100).contains(priority) else {
      throw ValidationError("a priority is -100 to 100")
    }
  }

  func run() async throws {
    try await data.open().store.setPriority(priority, ofBatch: batch)
    Terminal.output.line("\(batch) has priority \(priority)")
  }
}

extension [KeyRecord] {
  /// The key with this id, or the only one with this name that is not revoked.
  ///
  /// - Throws: `CommandError` that says what else to write.
  fileprivate func named(_ text: String) throws -> KeyRecord {
    if let key = first(where: { $0.id == text }) { return key }
    let named = filter { $0.name == text && $0.revokedAt == nil }
    guard let key = named.first else {
      throw CommandError("there is no key \"\(text)\"; see `tally key list`")
    }
    guard named.count == 1 else {
      let ids = named.map(\.id).joined(separator: ", ")
      throw CommandError("several keys are called \"\(text)\": give one of \(ids)")
    }
    return key
  }
}
