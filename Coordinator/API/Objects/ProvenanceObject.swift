import CoordinatorStore
import Foundation
import Models
import WireProtocol

/// `GET /tally/v1/manifests/{id}`: whose weights a manifest names.
package struct ProvenanceObject: Encodable, Hashable, Sendable {
  /// The manifest's SHA-256.
  package var id: String
  package let object = "tally.manifest"
  /// Null for a model that was added by a coordinator that did not keep it.
  @Nullable package var provenance: ModelProvenance?

  package init(id: String, provenance: ModelProvenance?) {
    self.id = id
    self.provenance = provenance
  }
}

/// Reads the provenance alone out of a manifest.
package enum ProvenanceReader {
  private struct Part: Decodable {
    let provenance: ModelProvenance?
  }

  /// - Throws: `StoreError.corrupt` for bytes that are no manifest.
  package static func read(manifest: Data, digest: Digest) throws -> ModelProvenance? {
    do {
      return try JSONDecoder().decode(Part.self, from: manifest).provenance
    } catch {
      throw StoreError(.corrupt, "The manifest \(digest) cannot be read.")
    }
  }
}
