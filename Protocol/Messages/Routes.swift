/// Paths of the worker's routes. All but the first two demand a client certificate of the
/// coordinator's CA.
package enum WorkerRoute {
  /// `GET`: the CA certificate in PEM. A joining worker fetches it unverified and compares the
  /// invitation's fingerprint.
  package static let authority = "/worker/v1/authority"
  /// `POST EnrolmentRequest -> EnrolmentResponse`.
  package static let enroll = "/worker/v1/enroll"
  /// `POST RenewalRequest -> EnrolmentResponse`.
  package static let renew = "/worker/v1/renew"
  /// `POST LeaseRequest -> LeaseResponse`.
  package static let lease = "/worker/v1/lease"
  /// `GET -> Standing`.
  package static let standing = "/worker/v1/standing"
  /// `GET -> OwnAccount`; `POST OwnAccountChange -> OwnAccount`.
  package static let account = "/worker/v1/account"
  /// `POST -> OwnAccountKey`; `DELETE -> RevokedAccountKeys`.
  package static let accountKey = "/worker/v1/account/key"

  /// `POST Heartbeat -> HeartbeatResponse`.
  package static func heartbeat(lease: String) -> String { "/worker/v1/leases/\(lease)/heartbeat" }
  /// `POST Abandonment -> 204`.
  package static func abandon(lease: String) -> String { "/worker/v1/leases/\(lease)/abandon" }
  /// `PUT` zstd bytes with `ResultHeader` headers `-> ResultReceipt`.
  package static func result(lease: String) -> String { "/worker/v1/leases/\(lease)/result" }
  /// `GET` with ranges: the uncompressed bytes of a blob. Model chunks and manifests for every
  /// worker; a unit's inputs for workers that hold a lease on it.
  package static func blob(_ digest: Digest) -> String { "/blobs/\(digest.hex)" }
}

/// The body of every error answer, public and worker routes alike (OpenAI's shape).
package struct ErrorBody: Codable, Hashable, Sendable {
  package struct Detail: Codable, Hashable, Sendable {
    package var message: String
    package var type: String
    package var param: String?
    package var code: String?

    package init(message: String, type: String, param: String? = nil, code: String? = nil) {
      self.message = message
      self.type = type
      self.param = param
      self.code = code
    }

    package func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(message, forKey: .message)
      try container.encode(type, forKey: .type)
      // OpenAI's client reads these two always: null, not absent.
      try container.encode(param, forKey: .param)
      try container.encode(code, forKey: .code)
    }
  }
  package var error: Detail

  package init(error: Detail) { self.error = error }
}

/// Codes in `ErrorBody` that workers act on.
package enum WorkerErrorCode {
  /// 426: versions do not match; the message says what to upgrade.
  package static let upgradeRequired = "upgrade_required"
  /// 401: no or no valid client certificate; enrol again.
  package static let certificateRequired = "certificate_required"
  /// 403: the invitation is unknown, used up or expired.
  package static let invitationInvalid = "invitation_invalid"
  /// 403: the key joined before, and the operator ended that worker's membership.
  package static let membershipEnded = "membership_ended"
  /// 404: no such lease for this worker.
  package static let leaseUnknown = "lease_unknown"
  /// 400: the uploaded bytes do not have the digest, size or signature that the headers say, or are
  /// no valid result.
  package static let resultInvalid = "result_invalid"
}
