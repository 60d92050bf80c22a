import CoordinatorCore
import CoordinatorStore
import Synchronization
import WireProtocol

/// Lets blobs that came from outside exist exactly as long as something names them.
///
/// A blob is stored before the row that names it is committed. When that fails, the blob goes at
/// once instead of waiting for a sweep. Who is about to name the same bytes at that moment is
/// waited for.
package final class BlobClaims: Sendable {
  private struct State {
    /// Who is about to name a blob; `isNew`: nobody had stored it before them.
    var holders: [Digest: (count: Int, isNew: Bool)] = [:]
    /// Blobs that are being removed, and who waits for the end of that.
    var removals: [Digest: [CheckedContinuation<Bool, Never>]] = [:]
  }

  private let store: any WorkStore
  private let blobs: any BlobStore
  private let now: @Sendable () -> Timestamp
  private let state = Mutex(State())

  package init(
    store: any WorkStore, blobs: any BlobStore, now: @escaping @Sendable () -> Timestamp
  ) {
    self.store = store
    self.blobs = blobs
    self.now = now
  }

  /// Stores a blob and commits the row that names it.
  ///
  /// - Throws: what the closures throw. The blob is gone then, unless it was there before or
  ///   something else names it.
  package func naming<Value>(
    _ digest: Digest, store: () async throws -> Void, name: () async throws -> Value
  ) async throws -> Value {
    await hold(digest)
    do {
      let isNew = try await !blobs.contains(digest)
      if isNew { state.withLock { $0.holders[digest]?.isNew = true } }
      try await store()
    } catch {
      _ = release(digest)
      throw error
    }
    let storedAt = now()
    do {
      let value = try await name()
      _ = release(digest)
      return value
    } catch {
      if release(digest) { await drop(digest, writtenUntil: storedAt) }
      throw error
    }
  }

  /// Removes a blob that nothing names, unless its bytes were stored again later than
  /// `writtenUntil`: another process may be about to name it. What cannot be removed now is left to
  /// the next sweep.
  package func drop(_ digest: Digest, writtenUntil: Timestamp) async {
    let begins = state.withLock { state in
      guard state.holders[digest] == nil, state.removals[digest] == nil else { return false }
      state.removals[digest] = []
      return true
    }
    guard begins else { return }
    defer {
      let waiting = state.withLock { $0.removals.removeValue(forKey: digest) ?? [] }
      for continuation in waiting { continuation.resume(returning: false) }
    }
    let youngest = Timestamp(milliseconds: writtenUntil.milliseconds + 1)
    guard let uses = try? await store.uses(of: [digest], now: now()), uses.isEmpty else { return }
    _ = try? await blobs.remove(digest, unlessWrittenSince: youngest)
  }

  private func hold(_ digest: Digest) async {
    while true {
      let holds = await withCheckedContinuation { continuation in
        state.withLock { state in
          if state.removals[digest]?.append(continuation) == nil {
            state.holders[digest, default: (0, false)].count += 1
            continuation.resume(returning: true)
          }
        }
      }
      if holds { return }
    }
  }

  /// Gives whether this was the last holder of a blob that nobody had stored before.
  private func release(_ digest: Digest) -> Bool {
    state.withLock { state in
      guard var holder = state.holders[digest] else { return false }
      holder.count -= 1
      state.holders[digest] = holder.count > 0 ? holder : nil
      return holder.count == 0 && holder.isNew
    }
  }
}
