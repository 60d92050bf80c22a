import CoordinatorCore
import Foundation
import GRDB
import Synchronization
import WirePayloads
import WireProtocol

/// One decision inside a transaction. Use it only in the closure that was given it.
final class Transaction {
  let db: Database
  let policy: CoordinatorPolicy
  let identifiers: Identifiers
  let lots: Lots
  /// Blobs that rows of this transaction name; they are made durable before it commits.
  fileprivate var staged: [Digest: Data] = [:]

  init(db: Database, policy: CoordinatorPolicy, identifiers: Identifiers, lots: Lots) {
    self.db = db
    self.policy = policy
    self.identifiers = identifiers
    self.lots = lots
  }

  func stage(_ data: Data) -> Digest {
    let digest = BlobDigest.sha256(data)
    staged[digest] = data
    return digest
  }
}

/// Runs decisions one after the other and commits those that wait together at once: with
/// `synchronous=FULL` a commit is an fsync, and twenty workers that ask in the same moment share
/// it. A decision that throws takes back its own changes only (a savepoint). No answer leaves
/// before the commit.
final class TransactionQueue: Sendable {
  private struct Job {
    let execute: @Sendable (Transaction) -> Void
    let finish: @Sendable ((any Error)?) -> Void
  }
  private struct State {
    var waiting: [Job] = []
    var isRunning = false
  }
  private static let largestGroup = 64

  private let writer: any DatabaseWriter
  private let blobs: any BlobStore
  private let policy: CoordinatorPolicy
  private let identifiers: Identifiers
  private let lots: Lots
  private let state = Mutex(State())

  init(
    writer: any DatabaseWriter, blobs: any BlobStore, policy: CoordinatorPolicy,
    identifiers: Identifiers, lots: Lots
  ) {
    self.writer = writer
    self.blobs = blobs
    self.policy = policy
    self.identifiers = identifiers
    self.lots = lots
  }

  /// Runs `body` and returns its value once its changes are durable.
  func run<Value: Sendable>(
    _ body: @escaping @Sendable (Transaction) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let outcome = Outcome<Value>()
      enqueue(
        Job(
          execute: { transaction in outcome.set(Self.savepoint(transaction, body)) },
          finish: { error in continuation.resume(with: outcome.get(unless: error)) }))
    }
  }

  private static func savepoint<Value>(
    _ transaction: Transaction, _ body: (Transaction) throws -> Value
  ) -> Result<Value, any Error> {
    Result {
      let staged = transaction.staged
      var value: Value?
      do {
        try transaction.db.inSavepoint {
          value = try body(transaction)
          return .commit
        }
      } catch {
        transaction.staged = staged
        throw error
      }
      guard let value else { throw StoreError(.corrupt, "A transaction gave no value.") }
      return value
    }
  }

  private func enqueue(_ job: Job) {
    let starts = state.withLock { state in
      state.waiting.append(job)
      defer { state.isRunning = true }
      return !state.isRunning
    }
    if starts { drain() }
  }

  private func drain() {
    writer.asyncWriteWithoutTransaction { db in
      let jobs = self.state.withLock { state in
        let jobs = Array(state.waiting.prefix(Self.largestGroup))
        state.waiting.removeFirst(jobs.count)
        return jobs
      }
      self.commit(jobs, db)
      let goesOn = self.state.withLock { state in
        state.isRunning = !state.waiting.isEmpty
        return state.isRunning
      }
      if goesOn { self.drain() }
    }
  }

  private func commit(_ jobs: [Job], _ db: Database) {
    do {
      try db.inTransaction(.immediate) {
        let transaction = Transaction(
          db: db, policy: policy, identifiers: identifiers, lots: lots)
        for job in jobs {
          job.execute(transaction)
          // SQLite ends a transaction by itself when the disk is full or fails: then nothing of the
          // group holds.
          guard db.isInsideTransaction else {
            throw StoreError(.corrupt, "The database gave up a transaction.")
          }
        }
        if !transaction.staged.isEmpty { try blobs.persist(transaction.staged) }
        return .commit
      }
      for job in jobs { job.finish(nil) }
    } catch {
      for job in jobs { job.finish(error) }
    }
  }
}

/// The value of a decision until its commit.
private final class Outcome<Value: Sendable>: Sendable {
  private let result = Mutex<Result<Value, any Error>?>(nil)

  func set(_ value: Result<Value, any Error>) { result.withLock { $0 = value } }

  func get(unless error: (any Error)?) -> Result<Value, any Error> {
    if let error { return .failure(error) }
    return result.withLock { $0 }
      ?? .failure(StoreError(.corrupt, "A transaction was not run."))
  }
}
