import CoordinatorCore
import CoordinatorStore
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import ModelFormats
import WirePayloads
import WireProtocol

/// Receives one result: bounded, expanded, compared with what the headers and the signature say,
/// parsed against the unit's inputs, stored, and only then submitted.
struct ResultUpload {
  let environment: APIEnvironment
  let peer: WorkerAuthentication.Peer

  /// What the headers claim.
  private struct Claim {
    var digest: WireProtocol.Digest
    var size: Int
    var signature: Data
    var seconds: Double?
    var energy: EnergyClaim?
  }

  /// - Throws: `APIError` 400 `result_invalid`, 409, 413, 426; `StoreError.leaseUnknown`.
  ///
  /// - Returns: what became of it, and what kind of unit it is of.
  func receive(
    _ request: Request, lease id: String
  ) async throws -> (receipt: ResultReceipt, kind: UnitKind) {
    let claim = try claim(of: request)
    let lease = try await environment.store.leaseRecord(id, worker: peer.worker.id)
    if let earlier = lease.submitted {
      guard earlier.digest == claim.digest else {
        throw APIError.conflict(
          "This lease was given another result before.", code: WorkerErrorCode.resultInvalid)
      }
      return (earlier.receipt, lease.specification.kind)
    }
    try verifySignature(claim, unit: lease.unit)
    let check = try await ResultCheck(lease.specification, blobs: environment.blobs)
    let data = try await content(of: request, claim: claim, check: check)
    let result: NewResult
    do {
      result = try check.result(decoding: data, digest: claim.digest)
    } catch {
      throw invalid("The result is not valid for its unit: \(error).")
    }
    let receipt = try await environment.claims.naming(claim.digest) {
      _ = try await environment.blobs.put(data)
    } name: {
      try await environment.store.submit(
        ResultSubmission(
          leaseID: id, workerID: peer.worker.id, result: result, signature: claim.signature,
          seconds: claim.seconds, energy: claim.energy),
        now: environment.now())
    }
    return (receipt, lease.specification.kind)
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
  private func content(
    of request: Request, claim: Claim, check: ResultCheck
  ) async throws -> Data {
    let limit = min(check.limitBytes, environment.limits.resultBytes)
    guard claim.size <= limit else {
      throw APIError.tooLarge("A result of this unit has at most \(limit) bytes.")
    }
    // Incompressible content grows by a little under zstd.
    let compressedLimit = claim.size + claim.size / 128 + 1024
    var compressed = Data()
    for try await piece in request.body {
      guard compressed.count + piece.readableBytes <= compressedLimit else {
        throw APIError.tooLarge("The body is larger than the result that it claims to hold.")
      }
      compressed.append(contentsOf: piece.readableBytesView)
    }
    let data: Data
    do {
      data = try Zstd.decompress(compressed, limit: claim.size)
    } catch {
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
