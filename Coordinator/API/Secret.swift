import Foundation
import WirePayloads
import WireProtocol

/// Secrets that people carry: keys and invitations.
package enum Secret {
  /// 256 random bits as 43 characters of base64url.
  package static func make() -> String {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
    return Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
      .replacing("=", with: "")
  }

  /// What the store knows a secret by.
  package static func hash(_ secret: some StringProtocol) -> Digest {
    BlobDigest.sha256(Array(secret.utf8))
  }
}

/// Opens the page of one account, and nothing else: no file, no batch, no worker's route.
package struct AccountKey: Sendable {
  /// What its owner carries; shown once.
  package let text: String

  /// A new key.
  package init() { text = "tally-account-" + Secret.make() }

  /// What the store knows it by.
  package var hash: Digest { Secret.hash(text) }

  /// The path of the page on which it is entered.
  package static let page = "/account"
}

/// Shows the dashboard with every name on it, and changes nothing.
package struct OperatorKey: Sendable {
  /// What such keys begin with.
  package static let prefix = "tally-operator-"
  /// What the operator enters; shown once.
  package let text: String

  /// A new key.
  package init() { text = Self.prefix + Secret.make() }

  /// What the store knows it by.
  package var hash: Digest { Secret.hash(text) }
}
