import BoundedWork
import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import ModelFormats
import WirePayloads
import WireProtocol

/// Receives one result: admitted, received within bounds, expanded when there is memory for it,
/// compared with what the headers and the signature say, checked against the unit's inputs, stored,
/// and only then submitted.
struct ResultUpload {
  let environment: APIEnvironment
  let peer: WorkerAuthentication.Peer

  /// What the headers claim.
  private struct Claim: Sendable {
    var digest: WireProtocol.Digest
    var size: Int
    var signature: Data
    var seconds: Double?
    var energy: EnergyClaim?
  }

  /// - Throws: `APIError` 400 `result_invalid`, 408, 409, 413, 426, 429, 503;
  ///   `StoreError.leaseUnknown`.
  ///
  /// - Returns: what became of it, and what kind of unit it is of.
  func receive(
    _ request: Request, lease id: String
  ) async throws -> (receipt: ResultReceipt, kind: UnitKind) {
    let (worker, admission) = (peer.worker.id, environment.uploads)
    let account = peer.worker.accountID
    try admission.begin(worker, of: account, now: environment.now())
    defer { admission.end(worker, of: account, now: environment.now()) }
    let lease = try await environment.store.leaseRecord(id, worker: worker)
    do {
      let receipt = try await receive(request, lease)
      admission.noteValid(worker)
      return (receipt, lease.specification.kind)
    } catch let error as APIError where [.badRequest, .contentTooLarge].contains(error.status) {
      let now = environment.now()
      if admission.noteInvalid(worker, now: now) {
        try await environment.store.abandon(
          lease: id, worker: worker, reason: .failed,
          detail: "The coordinator ended it: \(error.message)", now: now)
        environment.wakeups.finalisation.signal()
      } else {
        try await environment.store.noteInvalidResult(of: worker, now: now)
      }
      throw error
    }
  }

  private func receive(_ request: Request, _ lease: LeaseRecord) async throws -> ResultReceipt {
    let claim = try claim(of: request)
    if let earlier = lease.submitted {
      guard earlier.digest == claim.digest else {
        throw APIError.conflict(
          "This lease was given another result before.", code: WorkerErrorCode.resultInvalid)
      }
      return earlier.receipt
    }
    try verifySignature(claim, unit: lease.unit)
    let (check, vocabularySize) = try await check(lease.specification)
    let limit = min(check.limitBytes, environment.limits.resultBytes)
    guard claim.size <= limit else {
      throw APIError.tooLarge("A result of this unit has at most \(limit) bytes.")
    }
    let body = try await ReceivedBody(
      // Incompressible content grows by a little under zstd.
      request.body, limit: claim.size + claim.size / 128 + 1024, environment)
    let receipt: ResultReceipt
    do {
      receipt = try await submit(body, claim, check, vocabularySize: vocabularySize, of: lease)
    } catch {
      await body.discard()
      throw error
    }
    await body.discard()
    return receipt
  }

  /// What results of the unit have to look like, and how many tokens its model knows.
  private func check(
    _ specification: UnitSpecification
  ) async throws -> (check: ResultCheck, vocabularySize: Int) {
    let (blobs, catalog) = (environment.blobs, environment.catalog)
    let bytes = try await blobs.size(of: specification.inputs) ?? 0
    return try await environment.heavy.run(bytes: 2 * bytes, of: environment.resultMemory) {
      let inputs = try await UnitInputs(specification, blobs: blobs)
      return (
        try await ResultCheck(inputs, of: specification, blobs: blobs),
        try await catalog.vocabularySize(ofManifest: specification.model)
      )
    }
  }

  /// Expands, compares, checks, stores and submits what was received, once there is memory for it.
  private func submit(
    _ body: ReceivedBody, _ claim: Claim, _ check: ResultCheck, vocabularySize: Int,
    of lease: LeaseRecord
  ) async throws -> ResultReceipt {
    let (environment, worker) = (environment, peer.worker.id)
    return try await environment.heavy.run(bytes: claim.size, of: environment.resultMemory) {
      let data = try expanded(body, claim)
      let result: NewResult
      do {
        result = try check.result(
          checking: data, digest: claim.digest, vocabularySize: vocabularySize)
      } catch {
        throw invalid("The result is not valid for its unit: \(error).")
      }
      return try await environment.claims.naming(claim.digest) {
        try environment.blobs.persist([claim.digest: data])
      } name: {
        try await environment.store.submit(
          ResultSubmission(
            leaseID: lease.id, workerID: worker, result: result, signature: claim.signature,
            seconds: claim.seconds, energy: claim.energy),
          now: environment.now())
      }
    }
  }

  private func claim(of request: Request) throws -> Claim {
    if let text = request.headers[.resultVersions] {
      guard let versions = try? CanonicalJSON.decode(PeerVersions.self, from: Data(text.utf8))
      else { throw invalid("The header \(ResultHeader.versions) is malformed.") }
      try versions.requireMatch()
    } else {
      throw invalid("The header \(ResultHeader.versions) is missing.")
    }
    guard let digest = request.headers[.resultDigest].flatMap(Digest.init(hex:)) else {
      throw invalid("The header \(ResultHeader.digest) is missing or malformed.")
    }
    guard let size = request.headers[.resultSize].flatMap({ Int($0) }), size > 0 else {
      throw invalid("The header \(ResultHeader.size) is missing or malformed.")
    }
    guard let text = request.headers[.resultSignature], let signature = Data(base64Encoded: text)
    else { throw invalid("The header \(ResultHeader.signature) is missing or malformed.") }
    let seconds = request.headers[.resultSeconds].flatMap { Double($0) }
      .flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    let energy = request.headers[.resultEnergy].flatMap { Double($0) }.map { joules in
      EnergyClaim(
        joules: joules,
        isEstimated: request.headers[.resultEnergyMethod] != EnergyMethod.measured.rawValue)
    }
    return Claim(
      digest: digest, size: size, signature: signature, seconds: seconds, energy: energy)
  }

  private func verifySignature(_ claim: Claim, unit: WireProtocol.Digest) throws {
    let statement = ResultStatement(unit: unit, result: claim.digest)
    guard
      let key = try? P256.Signing.PublicKey(x963Representation: peer.identity.publicKey),
      let signature = try? P256.Signing.ECDSASignature(derRepresentation: claim.signature),
      key.isValidSignature(signature, for: statement.bytes)
    else { throw invalid("The signature is not one of the certificate's key over this result.") }
  }

  /// The expanded body, which has the digest and size that the headers claim.
  private func expanded(_ body: ReceivedBody, _ claim: Claim) throws -> Data {
    let data: Data
    do {
      data = try Zstd.decompress(limit: claim.size, next: body.pieces())
    } catch let error as ZstdError {
      throw invalid("The body cannot be expanded: \(error).")
    }
    guard data.count == claim.size else {
      throw invalid("The body holds \(data.count) bytes, not \(claim.size).")
    }
    guard BlobDigest.sha256(data) == claim.digest else {
      throw invalid("The body does not have the digest that the header claims.")
    }
    return data
  }

  private func invalid(_ message: String) -> APIError {
    .invalid(message, code: WorkerErrorCode.resultInvalid)
  }
}

extension HTTPField.Name {
  package static let resultDigest = HTTPField.Name(ResultHeader.digest)!
  package static let resultSize = HTTPField.Name(ResultHeader.size)!
  package static let resultSignature = HTTPField.Name(ResultHeader.signature)!
  package static let resultVersions = HTTPField.Name(ResultHeader.versions)!
  package static let resultSeconds = HTTPField.Name(ResultHeader.seconds)!
  package static let resultEnergy = HTTPField.Name(ResultHeader.energy)!
  package static let resultEnergyMethod = HTTPField.Name(ResultHeader.energyMethod)!
}
