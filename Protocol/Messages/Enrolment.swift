import Foundation

/// What an operator hands to a volunteer: where the coordinator is, whom to trust there, and a
/// secret that admits.
///
/// Spelled `tally1.` and the base64url (no padding) of its canonical JSON.
package struct Invitation: Codable, Hashable, Sendable {
  /// `https://host:port`.
  package var url: String
  /// The secret that the coordinator knows by its hash only.
  package var secret: String
  /// SHA-256 of the DER bytes of the coordinator's CA certificate.
  package var authority: Digest

  package init(url: String, secret: String, authority: Digest) {
    self.url = url
    self.secret = secret
    self.authority = authority
  }

  private static let prefix = "tally1."

  /// The text to paste.
  package func spelled() throws -> String {
    let base64 = try CanonicalJSON.encode(self).base64EncodedString()
    return Self.prefix
      + base64.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }

  /// Reads a pasted invitation; throws `InvitationError` that says what is wrong without showing
  /// the secret.
  package init(spelled text: String) throws {
    let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard trimmed.hasPrefix(Self.prefix) else { throw InvitationError.notAnInvitation }
    guard trimmed.utf8.count <= 4096 else { throw InvitationError.damaged }
    var base64 = trimmed.dropFirst(Self.prefix.count).replacing("-", with: "+")
      .replacing("_", with: "/")
    while base64.utf8.count % 4 != 0 { base64 += "=" }
    guard let data = Data(base64Encoded: String(base64)),
      let invitation = try? CanonicalJSON.decode(Invitation.self, from: data)
    else { throw InvitationError.damaged }
    self = invitation
  }
}

/// Why a pasted text is no invitation. Never shows the text, which holds a secret.
package enum InvitationError: Error, Hashable, CustomStringConvertible {
  case notAnInvitation
  case damaged

  package var description: String {
    switch self {
    case .notAnInvitation: "an invitation starts with \"tally1.\""
    case .damaged: "the invitation is damaged or incomplete: paste it whole, as one line"
    }
  }
}

/// `POST /worker/v1/enroll`, without a client certificate: a signing request and the invitation's
/// secret.
package struct EnrolmentRequest: Codable, Hashable, Sendable {
  package var versions: PeerVersions
  package var secret: String
  /// PKCS#10 in PEM, key P-256. The coordinator takes the public key only and chooses every name
  /// itself.
  package var signingRequest: String
  /// What the volunteer calls this machine; kept as `Name.cleaned` gives it.
  package var workerName: String

  package init(
    versions: PeerVersions = PeerVersions(), secret: String, signingRequest: String,
    workerName: String
  ) {
    self.versions = versions
    self.secret = secret
    self.signingRequest = signingRequest
    self.workerName = workerName
  }
}

/// `POST /worker/v1/renew`, with the present certificate: a signing request by the same or a new
/// key.
package struct RenewalRequest: Codable, Hashable, Sendable {
  package var versions: PeerVersions
  package var signingRequest: String
  /// What statistics are to call this machine from now on, at most 100 characters; nil: as before.
  package var workerName: String?

  package init(
    versions: PeerVersions = PeerVersions(), signingRequest: String, workerName: String? = nil
  ) {
    self.versions = versions
    self.signingRequest = signingRequest
    self.workerName = workerName
  }
}

/// The answer to both.
package struct EnrolmentResponse: Codable, Hashable, Sendable {
  /// Names the worker for ever: `worker_` and 24 letters or digits.
  package var workerID: String
  /// The account that its work counts for.
  package var accountName: String
  /// The client certificate in PEM.
  package var certificate: String
  /// The CA certificate in PEM.
  package var authority: String
  /// When the certificate ends, in seconds since 1970.
  package var notAfter: Int
  /// Seconds until then, so that a wrong clock of the worker does not matter; nil from a
  /// coordinator that is older.
  package var validSeconds: Int?
  /// What statistics call the worker; nil from a coordinator that is older.
  package var workerName: String?

  package init(
    workerID: String, accountName: String, certificate: String, authority: String, notAfter: Int,
    validSeconds: Int? = nil, workerName: String? = nil
  ) {
    self.workerID = workerID
    self.accountName = accountName
    self.certificate = certificate
    self.authority = authority
    self.notAfter = notAfter
    self.validSeconds = validSeconds
    self.workerName = workerName
  }
}
