import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation
import WirePayloads
import WireProtocol

/// What an operator does on the coordinator's machine, directly in the data folder; a running
/// coordinator sees it at once.
package struct Operator: Sendable {
  package let folder: DataFolder
  private let now: @Sendable () -> Timestamp

  /// Opens a data folder, which is made if it is missing.
  package init(
    dataFolder: URL, now: @escaping @Sendable () -> Timestamp = APIEnvironment.systemTime
  ) throws {
    folder = try DataFolder(opening: dataFolder, now: now().date)
    self.now = now
  }

  /// Makes an invitation. Its text holds the secret, which is not kept.
  ///
  /// - Parameters:
  ///   - account: who gets credit; created when new.
  ///   - url: `https://host:port`, as volunteers reach the coordinator.
  ///   - uses: machines that may join with it.
  ///   - trusted: whether they serve the trusted pool.
  package func invite(
    account: String, url: String, uses: Int, validSeconds: Int, trusted: Bool
  ) async throws -> (invitation: Invitation, record: InvitationRecord) {
    let secret = Self.secret()
    let record = try await folder.store.createInvitation(
      NewInvitation(
        secretHash: BlobDigest.sha256(Array(secret.utf8)), accountName: account, uses: uses,
        expiresAt: now().adding(seconds: validSeconds), trusted: trusted),
      now: now())
    let invitation = Invitation(
      url: url, secret: secret, authority: try folder.authority.fingerprint())
    return (invitation, record)
  }

  /// Makes an API key: `tally-` and 43 characters. The store keeps its hash only.
  ///
  /// - Parameter weight: its share of the fleet against other keys, 0.01 to 100.
  package func createKey(name: String, weight: Double = 1) async throws -> (
    key: String, record: KeyRecord
  ) {
    let key = "tally-" + Self.secret()
    let record = try await folder.store.createKey(
      NewKey(name: name, hash: BlobDigest.sha256(Array(key.utf8)), weight: weight), now: now())
    return (key, record)
  }

  /// 256 bits in 43 characters of base64url.
  private static func secret() -> String {
    SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) }.base64EncodedString()
      .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }
}
