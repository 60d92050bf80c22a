import Foundation
import Synchronization
import WirePayloads
import WireProtocol
import WorkerCore

/// A finished result as it is sent: the same bytes at every attempt.
struct FinishedResult: Hashable, Sendable {
  /// The first line of the file, as JSON.
  struct Header: Codable, Hashable, Sendable {
    var unit: Digest
    /// SHA-256 of the uncompressed result.
    var digest: Digest
    /// Bytes of the uncompressed result.
    var size: Int
    /// Base64 of the signature over `ResultStatement.bytes`.
    var signature: String
    var versions: PeerVersions
    /// Seconds that the unit computed for, to the millisecond.
    var milliseconds: Int
    /// What the unit took, and whether part of it is an estimate; nil where nothing was seen.
    var energyMillijoules: Int?
    var energyIsEstimated: Bool?
    /// In seconds since 1970.
    var finishedAt: Int
  }

  var header: Header
  /// The result's safetensors file, compressed with zstd.
  var body: Data

  /// Names, compresses and signs `result`.
  init(
    unit: Digest, result: Data, milliseconds: Int, energy: EnergyUse = EnergyUse(), now: Int,
    key: any WorkerKey
  ) throws {
    let digest = BlobDigest.sha256(result)
    let statement = ResultStatement(unit: unit, result: digest)
    header = Header(
      unit: unit, digest: digest, size: result.count,
      signature: try key.signature(over: statement.bytes).base64EncodedString(),
      versions: PeerVersions(), milliseconds: milliseconds, finishedAt: now)
    if energy.joules > 0 {
      header.energyMillijoules = Int(exactly: (energy.joules * 1000).rounded())
      header.energyIsEstimated = energy.isEstimated
    }
    body = try Zstd.compress(result)
  }

  /// Reads a file that `pieces` wrote; nil when it is damaged.
  init?(_ file: Data) {
    guard let end = file.firstIndex(of: UInt8(ascii: "\n")),
      let header = try? CanonicalJSON.decode(Header.self, from: file[..<end])
    else { return nil }
    self.header = header
    body = Data(file[(end + 1)...])
  }

  /// The file: the header's line, then the body.
  func pieces() throws -> [Data] { [try CanonicalJSON.encode(header), Data("\n".utf8), body] }

  /// `ResultHeader` fields of the upload.
  func headers() throws -> [(name: String, value: String)] {
    let versions = String(decoding: try CanonicalJSON.encode(header.versions), as: UTF8.self)
    var headers = [
      ("content-type", "application/zstd"),
      (ResultHeader.digest, header.digest.hex),
      (ResultHeader.size, String(header.size)),
      (ResultHeader.signature, header.signature),
      (ResultHeader.versions, versions),
      (ResultHeader.seconds, Self.thousandths(header.milliseconds)),
    ]
    if let millijoules = header.energyMillijoules {
      let method: EnergyMethod = header.energyIsEstimated == false ? .measured : .estimated
      headers.append((ResultHeader.energy, Self.thousandths(millijoules)))
      headers.append((ResultHeader.energyMethod, method.rawValue))
    }
    return headers
  }

  /// `1.500` for 1500.
  private static func thousandths(_ number: Int) -> String {
    let (whole, rest) = number.quotientAndRemainder(dividingBy: 1000)
    return "\(whole).\(String(rest + 1000).dropFirst())"
  }
}

/// Finished results on disk, a file each, from the moment a unit ends until the coordinator has
/// answered for it.
final class ResultStore: Sendable {
  let folder: String
  /// Results that the disk refused.
  private let held = Mutex<[String: FinishedResult]>([:])
  /// Bytes of those at most.
  private static let heldLimitBytes = 256 << 20
  private static let suffix = ".result"
  /// Bytes of the largest result file that is read back.
  private static let limitBytes = 1 << 30

  init(folder: String) { self.folder = folder }

  /// True for an id that can name a file: what the protocol says, and nothing that leaves the
  /// folder.
  static func isLeaseID(_ id: String) -> Bool {
    let prefix = "lease_"
    return id.hasPrefix(prefix) && id.utf8.count == prefix.utf8.count + 24
      && id.utf8.dropFirst(prefix.utf8.count).allSatisfy {
        (97...122).contains($0) || (48...57).contains($0)
      }
  }

  private func path(_ lease: String) -> String { "\(folder)/\(lease)\(Self.suffix)" }

  func save(_ result: FinishedResult, lease: String) throws {
    try DurableFile.write(result.pieces(), to: path(lease))
  }

  /// Keeps a result in memory that the disk refused; false where there is no room for it.
  func hold(_ result: FinishedResult, lease: String) -> Bool {
    held.withLock { held in
      let bytes = held.values.reduce(result.body.count) { $0 + $1.body.count }
      guard bytes <= Self.heldLimitBytes else { return false }
      held[lease] = result
      return true
    }
  }

  /// The result of a lease; nil when there is none or its file is damaged. One that the disk
  /// refused goes there once there is room.
  func load(_ lease: String) throws -> FinishedResult? {
    if let result = held.withLock({ $0[lease] }) {
      if (try? save(result, lease: lease)) != nil { held.withLock { $0[lease] = nil } }
      return result
    }
    return try DurableFile.read(path(lease), limitBytes: Self.limitBytes)
      .flatMap(FinishedResult.init)
  }

  func remove(_ lease: String) throws {
    guard held.withLock({ $0.removeValue(forKey: lease) }) == nil else { return }
    try DurableFile.remove(path(lease))
  }

  /// All leases with a result, and when their units finished, in seconds since 1970. Damaged files
  /// are left alone and not listed.
  func list() throws -> [(lease: String, finishedAt: Int)] {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    return try names.compactMap { name in
      let lease = String(name.dropLast(Self.suffix.count))
      guard name.hasSuffix(Self.suffix), Self.isLeaseID(lease), let result = try load(lease)
      else { return nil }
      return (lease, result.header.finishedAt)
    }
  }
}
