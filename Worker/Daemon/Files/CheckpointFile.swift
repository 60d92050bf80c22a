import Foundation
import WirePayloads
import WireProtocol
import WorkerEngine

/// The bytes of a checkpoint: what a held unit has finished, record after record.
///
/// A record is, integers little-endian:
///
///     U32 length of the body    checksum    body: an `Entry` as JSON, a line feed, a payload
///
/// The checksum is, in hexadecimal, SHA-256 over `tally-checkpoint-1`, the lease and the unit's
/// digest, a line each, the record's offset in the file as U64, and the body: what was cut off,
/// changed, moved or taken from another unit ends the file before it.
package struct CheckpointFile: Hashable, Sendable {
  /// What a record says.
  package enum Entry: Codable, Hashable, Sendable {
    /// The file's first record, and no other.
    case leased(Lease)
    /// A run of the unit began.
    case started
    /// The payload is the `GenerateResult` of these sequences; the unit was computed for so long up
    /// to here, in all runs.
    case finished(sequences: [Int], milliseconds: Int)
  }

  /// The unit that is held.
  package let lease: Lease
  /// What the unit's runs have finished.
  package private(set) var finished: [FinishedSequences] = []
  /// How long they computed for that, in milliseconds.
  package private(set) var milliseconds = 0
  /// Runs that began since the last that finished a sequence.
  package private(set) var fruitlessStarts = 0
  /// Where the next record belongs: whatever the file has from here on is no record.
  package private(set) var endOffset: Int

  private static let headerBytes = 68

  /// Reads what is sound of a file; nil when not even its lease is.
  package init?(_ data: Data, lease id: String, unit: Digest) {
    var offset = 0
    guard case .leased(let lease)? = Self.record(data, &offset, id, unit)?.entry,
      lease.id == id, lease.unit == unit
    else { return nil }
    self.lease = lease
    endOffset = offset
    while let (entry, payload) = Self.record(data, &offset, id, unit) {
      switch entry {
      case .leased: return
      case .started: fruitlessStarts += 1
      case .finished(let sequences, let milliseconds):
        finished.append(FinishedSequences(indices: sequences, result: payload))
        self.milliseconds = max(self.milliseconds, milliseconds)
        fruitlessStarts = 0
      }
      endOffset = offset
    }
  }

  /// The bytes of a record at an offset.
  ///
  /// - Throws: `FileError` for a payload of 4 GiB or more, which no result has.
  package static func record(
    _ entry: Entry, payload: Data = Data(), at offset: Int, lease: String, unit: Digest
  ) throws -> Data {
    let body = try CanonicalJSON.encode(entry) + Data("\n".utf8) + payload
    guard let length = UInt32(exactly: body.count) else {
      throw FileError(doing: "writing", path: lease, reason: "a record of \(body.count) bytes")
    }
    var record = withUnsafeBytes(of: length.littleEndian) { Data($0) }
    record += checksum(body, offset, lease, unit)
    return record + body
  }

  /// The record at `offset`, which it moves behind it; nil when there is no sound one.
  private static func record(
    _ data: Data, _ offset: inout Int, _ lease: String, _ unit: Digest
  ) -> (entry: Entry, payload: Data)? {
    let rest = data.dropFirst(offset)
    guard rest.count >= headerBytes else { return nil }
    let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
    let body = rest.dropFirst(headerBytes).prefix(length)
    guard body.count == length,
      checksum(body, offset, lease, unit) == rest.dropFirst(4).prefix(64),
      let end = body.firstIndex(of: UInt8(ascii: "\n")),
      let entry = try? CanonicalJSON.decode(Entry.self, from: Data(body[..<end]))
    else { return nil }
    offset += headerBytes + length
    return (entry, Data(body[(end + 1)...]))
  }

  private static func checksum(
    _ body: Data, _ offset: Int, _ lease: String, _ unit: Digest
  ) -> Data {
    var hasher = BlobHasher()
    hasher.update(Data("tally-checkpoint-1\n\(lease)\n\(unit.hex)\n".utf8))
    hasher.update(withUnsafeBytes(of: UInt64(offset).littleEndian) { Data($0) })
    hasher.update(body)
    return Data(hasher.finalize().hex.utf8)
  }
}
