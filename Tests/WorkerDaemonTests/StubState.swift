import Foundation
import HTTPTypes
import WirePayloads
import WireProtocol

/// What the stub coordinator knows and how it misbehaves.
actor StubState {
  struct Refusal: Sendable {
    var status: HTTPResponse.Status
    var code: String?
    var message: String
    var retryAfter: Int?
  }

  /// What to do with the next requests for a blob, in order; honest when empty.
  enum BlobFault: Sendable {
    /// Sends this many bytes, then cuts the connection.
    case cut(after: Int)
    /// Flips a bit of what it sends.
    case wrongBytes
    case refuse(Refusal)
    /// Ignores the range.
    case wholeBlob
  }

  struct Upload: Sendable {
    var lease: String
    var digest: String
    var signature: Data
    var result: Data
    var publicKey: Data
    var energy: String
    var energyMethod: String
  }

  let secret = "a secret of the invitation"
  var blobs: [Digest: Data] = [:]
  var leases: [Lease] = []
  var verdicts: [String: HeartbeatResponse.Verdict] = [:]
  var blobFaults: [BlobFault] = []
  /// Whether blobs travel in another order where the worker can read it.
  var codesBlobs = false
  var refusals: [String: [Refusal]] = [:]
  /// Uploads whose answer is to get lost after they were taken.
  var answersToLose = 0
  var validSeconds = 3600.0
  /// Whether answers say for how long a certificate is valid.
  var saysValidSeconds = false
  var nextAddress: String?
  /// What the machine is called.
  private(set) var workerName = ""
  var standing = Standing(
    worker: .init(units: 3, tokens: 40, credit: 1.5, recentAverageCredit: 0.5),
    account: .init(units: 9, tokens: 90, credit: 4.5, recentAverageCredit: 0.75), rank: 2,
    accounts: 7)

  var account = OwnAccount(name: "ada", isPublic: false, country: "Ireland")
  var accountKeys: [String] = []

  private(set) var given: [String: Lease] = [:]
  private(set) var uploads: [Upload] = []
  private(set) var requests: [String] = []
  /// The blob and the range of each request.
  private(set) var ranges: [(blob: String, range: String)] = []
  private(set) var leaseRequests: [LeaseRequest] = []
  private(set) var abandonments: [String: Abandonment] = [:]
  private(set) var heartbeats: [String: Int] = [:]

  func update(_ change: @Sendable (isolated StubState) -> Void) { change(self) }

  func add(_ blob: Data) -> Digest {
    let digest = BlobDigest.sha256(blob)
    blobs[digest] = blob
    return digest
  }

  /// Notes a request; returns what refuses it, if something does.
  func enter(_ route: String) -> Refusal? {
    requests.append(route)
    guard refusals[route]?.isEmpty == false else { return nil }
    return refusals[route]?.removeFirst()
  }

  func lease(_ request: LeaseRequest) -> LeaseResponse {
    leaseRequests.append(request)
    let count = min(request.maximumUnits, leases.count)
    let given = Array(leases.prefix(count))
    leases.removeFirst(count)
    for lease in given { self.given[lease.id] = lease }
    return LeaseResponse(
      leases: given, reasons: given.isEmpty ? [.noWork: 1] : [:], retryAfterSeconds: 1,
      nextAddress: nextAddress)
  }

  func name(_ name: String?) -> String {
    workerName = name ?? workerName
    return workerName
  }

  func change(_ change: OwnAccountChange) -> OwnAccount {
    account.isPublic = change.isPublic ?? account.isPublic
    if let team = change.team { account.team = team.isEmpty ? nil : team }
    return account
  }

  func makeAccountKey() -> OwnAccountKey {
    accountKeys.append("tally-account-\(accountKeys.count)")
    return OwnAccountKey(key: accountKeys.last ?? "", page: "/account")
  }

  func revokeAccountKeys() -> RevokedAccountKeys {
    defer { accountKeys = [] }
    return RevokedAccountKeys(revoked: accountKeys.count)
  }

  func heartbeat(_ lease: String) -> HeartbeatResponse {
    heartbeats[lease, default: 0] += 1
    return HeartbeatResponse(
      verdict: verdicts[lease] ?? .proceed, deadlineSeconds: 60, reason: "the test says so")
  }

  func abandon(_ lease: String, _ message: Abandonment) { abandonments[lease] = message }

  /// Takes an upload; true when its answer is to be lost.
  func take(_ upload: Upload) -> Bool {
    uploads.append(upload)
    answersToLose -= 1
    return answersToLose >= 0
  }

  func blob(_ name: String, range: String?) -> (data: Data?, fault: BlobFault?) {
    ranges.append((name, range ?? ""))
    let fault = blobFaults.isEmpty ? nil : blobFaults.removeFirst()
    return (Digest(hex: name).flatMap { blobs[$0] }, fault)
  }

  /// The first offsets that were asked for of a blob, in order.
  func starts(of digest: Digest) -> [Int] {
    ranges.filter { $0.blob == digest.hex }.compactMap { _, range in
      range.dropFirst("bytes=".count).split(separator: "-").first.flatMap { Int($0) }
    }
  }
}
