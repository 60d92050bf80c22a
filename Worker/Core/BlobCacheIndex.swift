import WireProtocol

/// Which blobs the worker's cache holds and which go when room is needed: the least recently used,
/// never one in use.
///
/// What was derived from blobs counts like them. It goes before every blob, as it can be made again
/// without a download, and no blob goes for it.
///
/// Bookkeeping only; the daemon moves the files. A blob is reserved before its download starts, so
/// that several downloads together stay within the limit.
package struct BlobCacheIndex: Sendable {
  private struct Entry: Sendable {
    var bytes: Int
    var isDerived = false
    /// Its files are complete and checked.
    var isPresent: Bool
    /// Larger is more recent.
    var lastUse: UInt64
    /// Units that need it now.
    var pins = 0

    var isHeld: Bool { pins > 0 || !isPresent }
  }

  /// What becomes of a wish for room.
  package enum Verdict: Hashable, Sendable {
    /// Already there.
    case present
    /// Another download of it is under way.
    case underway
    /// Reserved, once these have been deleted (they are out of the index already).
    case reserved(evict: [Digest])
    /// More than the limit leaves beside what is in use. Nothing changed.
    case refused(CacheRefusal)
  }

  /// The limit, in bytes.
  package private(set) var limitBytes: Int
  /// The bytes of all blobs, those reserved included.
  package private(set) var totalBytes = 0
  private var entries: [Digest: Entry] = [:]
  private var uses: UInt64 = 0

  /// Takes what an earlier run left, least recently used first. Returns, in `evict`, what exceeds
  /// the limit.
  package init(
    limitBytes: Int, present: [(digest: Digest, bytes: Int)],
    derived: [(digest: Digest, bytes: Int)] = [], evict: inout [Digest]
  ) {
    self.limitBytes = max(0, limitBytes)
    for (blobs, isDerived) in [(present, false), (derived, true)] {
      for blob in blobs where entries[blob.digest] == nil {
        uses += 1
        entries[blob.digest] = Entry(
          bytes: blob.bytes, isDerived: isDerived, isPresent: true, lastUse: uses)
        totalBytes += blob.bytes
      }
    }
    evict = makeRoom(for: 0)
  }

  /// Room for further blobs, in bytes: the limit less what is in use or on its way.
  package var freeBytes: Int {
    let held = entries.values.reduce(0) { $1.isHeld ? $0 + $1.bytes : $0 }
    return max(0, limitBytes - held)
  }

  /// Room beside all blobs, in bytes.
  private var freeBytesForDerived: Int {
    let kept = entries.values.reduce(0) { $1.isHeld || !$1.isDerived ? $0 + $1.bytes : $0 }
    return max(0, limitBytes - kept)
  }

  /// Changes the limit. Returns what exceeds it and is not in use; that is out of the index
  /// already.
  package mutating func limit(to bytes: Int) -> [Digest] {
    limitBytes = max(0, bytes)
    return makeRoom(for: 0)
  }

  /// The bytes of what is complete: files, not reservations.
  package var presentBytes: Int {
    entries.values.reduce(0) { $1.isPresent ? $0 + $1.bytes : $0 }
  }

  /// True when the blob is there, complete and checked.
  package func contains(_ digest: Digest) -> Bool { entries[digest]?.isPresent ?? false }

  /// True when a unit needs the blob now.
  package func isPinned(_ digest: Digest) -> Bool { (entries[digest]?.pins ?? 0) > 0 }

  /// Marks a blob as just used.
  package mutating func touch(_ digest: Digest) {
    uses += 1
    entries[digest]?.lastUse = uses
  }

  /// Asks for room for a blob of `bytes` (0 or more), or for something derived from blobs.
  package mutating func reserve(
    _ digest: Digest, bytes: Int, isDerived: Bool = false
  ) -> Verdict {
    if let entry = entries[digest] { return entry.isPresent ? .present : .underway }
    let free = isDerived ? freeBytesForDerived : freeBytes
    guard bytes >= 0, bytes <= free else {
      return .refused(
        CacheRefusal(neededBytes: bytes, limitBytes: limitBytes, heldBytes: limitBytes - free))
    }
    let evicted = makeRoom(for: bytes)
    uses += 1
    entries[digest] = Entry(
      bytes: bytes, isDerived: isDerived, isPresent: false, lastUse: uses)
    totalBytes += bytes
    return .reserved(evict: evicted)
  }

  /// The reserved blob is complete and checked.
  ///
  /// - Parameter bytes: where they turned out to be fewer than were reserved.
  package mutating func commit(_ digest: Digest, bytes: Int? = nil) {
    guard let reserved = entries[digest]?.bytes else { return }
    entries[digest]?.isPresent = true
    if let bytes, bytes < reserved {
      entries[digest]?.bytes = bytes
      totalBytes -= reserved - bytes
    }
  }

  /// The blob is gone, or its download was given up.
  package mutating func remove(_ digest: Digest) {
    if let entry = entries.removeValue(forKey: digest) { totalBytes -= entry.bytes }
  }

  /// Keeps these blobs until as many `unpin`. Those that the index does not know are passed over.
  package mutating func pin(_ digests: some Sequence<Digest>) {
    for digest in digests {
      entries[digest]?.pins += 1
      touch(digest)
    }
  }

  /// Ends one `pin` of each.
  package mutating func unpin(_ digests: some Sequence<Digest>) {
    for digest in digests {
      if let pins = entries[digest]?.pins, pins > 0 { entries[digest]?.pins = pins - 1 }
    }
  }

  /// Takes the least recently used out, what was derived first, until `bytes` more fit, as far as
  /// what is not in use allows.
  private mutating func makeRoom(for bytes: Int) -> [Digest] {
    guard totalBytes + bytes > limitBytes else { return [] }
    var evicted: [Digest] = []
    let idle = entries.filter { !$0.value.isHeld }.sorted { left, right in
      left.value.isDerived == right.value.isDerived
        ? left.value.lastUse < right.value.lastUse : left.value.isDerived
    }
    for (digest, _) in idle where totalBytes + bytes > limitBytes {
      remove(digest)
      evicted.append(digest)
    }
    return evicted
  }
}

/// Why a blob does not fit.
package struct CacheRefusal: Hashable, Sendable, CustomStringConvertible {
  package var neededBytes: Int
  package var limitBytes: Int
  /// In use or on its way.
  package var heldBytes: Int

  package init(neededBytes: Int, limitBytes: Int, heldBytes: Int) {
    self.neededBytes = neededBytes
    self.limitBytes = limitBytes
    self.heldBytes = heldBytes
  }

  package var description: String {
    "\(neededBytes) bytes do not fit into the cache: its limit is \(limitBytes) bytes, "
      + "\(heldBytes) of them are in use"
  }
}
