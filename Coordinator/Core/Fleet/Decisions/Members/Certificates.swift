import WireProtocol

/// A certificate is recorded before it is handed out. Older ones stay good, and are forgotten
/// `StoreLimit.certificateGraceSeconds` after their end.
package struct RecordCertificate: FleetEvent {
  package let certificate: CertificateRecord
  /// What the worker is called from now on; nil: as before.
  package let name: String?

  package init(_ certificate: CertificateRecord, renamingTo name: String?) {
    self.certificate = certificate
    self.name = name
  }

  /// - Returns: false, with nothing recorded, when the worker was given
  ///   `StoreLimit.certificatesAtOnce` (with another name `renamesAtOnce`) within a day, or within
  ///   a third of their life if that is less.
  /// - Throws: `StoreError.notFound`, `.membershipEnded`.
  package func decide(in fleet: inout Fleet) throws -> Bool {
    let id = certificate.workerID
    // Whoever asked was admitted before; the revocation may have come in between.
    try fleet.requireWorker(id).requireMembership()
    let forgotten = fleet.now.adding(seconds: -StoreLimit.certificateGraceSeconds)
    let own = fleet.index.people.certificatesOfWorker[id].sorted()
      .compactMap { fleet.certificates[$0] }
    for old in own where old.notAfter <= forgotten {
      fleet.remove(CertificateRow.self, old.fingerprint)
    }
    // All are given for the same time, so that the end of one tells when it was given; later ends
    // are from before the clock was set back.
    let window = min(86_400, Int(certificate.notAfter.seconds(since: fleet.now)) / 3)
    let first = certificate.notAfter.adding(seconds: -window)
    let recent = own.count { other in
      first < other.notAfter && other.notAfter <= certificate.notAfter
        && forgotten < other.notAfter && other.renames == (name != nil)
    }
    let limit = name == nil ? StoreLimit.certificatesAtOnce : StoreLimit.renamesAtOnce
    guard recent < limit else { return false }
    fleet.record(certificate, renames: name != nil)
    if let name {
      fleet.change(WorkerRow.self, id) { $0.name = Name.cleaned(name) ?? "unnamed" }
    }
    return true
  }
}

/// A certificate that the coordinator's authority signed is shown. One that is not known, as after
/// a backup was restored, is noted when it has the key of a worker that is known and was never
/// revoked. Its time is for the caller to judge.
package struct AdmitCertificate: FleetEvent {
  package let certificate: CertificateRecord
  /// SHA-256 of the DER of the certificate's key.
  package let publicKey: Digest

  package init(_ certificate: CertificateRecord, publicKey: Digest) {
    self.certificate = certificate
    self.publicKey = publicKey
  }

  package func decide(in fleet: inout Fleet) throws -> WorkerAdmission {
    if let known = fleet.admission(of: certificate) { return known }
    guard let worker = fleet.workers[certificate.workerID], worker.publicKey == publicKey else {
      return .unknown
    }
    if worker.revokedAt != nil { return .revoked }
    fleet.record(certificate, renames: false)
    return .admitted(fleet.record(of: worker))
  }
}

extension Fleet {
  fileprivate mutating func record(_ certificate: CertificateRecord, renames: Bool) {
    guard certificates[certificate.fingerprint] == nil else { return }
    put(
      CertificateRow(
        fingerprint: certificate.fingerprint, worker: certificate.workerID,
        notAfter: certificate.notAfter, der: certificate.der, renames: renames))
  }

  /// What a known certificate is worth; nil for one that is not known.
  package func admission(of certificate: CertificateRecord) -> WorkerAdmission? {
    guard let row = certificates[certificate.fingerprint] else { return nil }
    guard row.worker == certificate.workerID, let worker = workers[row.worker] else {
      return .unknown
    }
    if row.isRevoked || worker.revokedAt != nil { return .revoked }
    return .admitted(record(of: worker))
  }

  /// When a certificate ends by the clock as it is now; nil when it is not known.
  package func certificateEnd(_ fingerprint: Digest) -> Timestamp? {
    certificates[fingerprint]?.notAfter
  }
}
