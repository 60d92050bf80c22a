import CoordinatorCore
import CoordinatorStore
import Synchronization

/// Holds uploads under way to what their key's quota of stored bytes leaves, all of a key together,
/// while they arrive: so the quota bounds what lies on the disk, not only what is kept.
package final class UploadBudget: Sendable {
  /// What one key stores, as far as its uploads under way must know.
  private struct Account {
    var uploads = 0
    /// Bytes of files; nil until somebody has asked.
    var stored: Int?
    /// Bytes that arrived in uploads under way.
    var arrived = 0
    /// Uploads that are being committed, and those that were.
    var committing = 0
    var committed = 0
  }

  private let accounts = Mutex<[String: Account]>([:])

  package init() {}

  /// Runs an upload that takes its bytes from the key's quota piece by piece.
  ///
  /// - Parameter stored: bytes that the key's files take, as the store has it.
  func withShare<Value>(
    of key: KeyRecord, stored: () async throws -> Int, _ body: (Share) async throws -> Value
  ) async throws -> Value {
    guard key.quota.storedBytes != nil else { return try await body(Share(budget: nil, key: key)) }
    let before = accounts.withLock { accounts in
      accounts[key.id, default: Account()].uploads += 1
      return accounts[key.id, default: Account()]
    }
    let share = Share(budget: self, key: key)
    defer { end(share) }
    let bytes = try await stored()
    accounts.withLock { accounts in
      guard let account = accounts[key.id] else { return }
      // A commit while the store was asked may or may not be counted in the answer.
      let isSettled =
        before.committing == 0 && account.committing == 0 && before.committed == account.committed
      if account.stored == nil || isSettled { accounts[key.id]?.stored = bytes }
    }
    return try await body(share)
  }

  private func end(_ share: Share) {
    let bytes = share.bytes
    accounts.withLock { accounts in
      guard var account = accounts[share.key.id] else { return }
      account.uploads -= 1
      account.arrived -= bytes
      accounts[share.key.id] = account.uploads > 0 ? account : nil
    }
  }

  /// One upload's part.
  final class Share: Sendable {
    fileprivate let key: KeyRecord
    private let budget: UploadBudget?
    private let taken = Mutex(0)

    fileprivate init(budget: UploadBudget?, key: KeyRecord) {
      (self.budget, self.key) = (budget, key)
    }

    /// Bytes taken that no file counts.
    fileprivate var bytes: Int { taken.withLock { $0 } }

    /// - Throws: `QuotaRefusal` when files and uploads of the key would take more than its quota.
    func take(_ count: Int) throws {
      guard let budget else { return }
      let own = bytes
      try budget.accounts.withLock { accounts in
        guard let account = accounts[key.id] else { return }
        let usage = Quota.Usage(storedBytes: (account.stored ?? 0) + account.arrived - own)
        if case .refused(let refusal) = key.quota.verdict(
          on: .file(bytes: own + count), usage: usage)
        {
          throw refusal
        }
        accounts[key.id]?.arrived += count
      }
      taken.withLock { $0 += count }
    }

    /// Commits the upload as a file; its bytes are counted there from then on.
    func commit<Value>(_ body: () async throws -> Value) async throws -> Value {
      guard let budget else { return try await body() }
      budget.accounts.withLock { $0[key.id]?.committing += 1 }
      do {
        let value = try await body()
        let bytes = taken.withLock { taken in
          defer { taken = 0 }
          return taken
        }
        budget.accounts.withLock { accounts in
          accounts[key.id]?.committing -= 1
          accounts[key.id]?.committed += 1
          accounts[key.id]?.arrived -= bytes
          accounts[key.id]?.stored? += bytes
        }
        return value
      } catch {
        budget.accounts.withLock { $0[key.id]?.committing -= 1 }
        throw error
      }
    }
  }
}
