import CoordinatorCore
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

  /// - Throws: `StoreError.corrupt` for a record that cannot be read.
  package init(_ digest: Digest, _ record: ManifestRecord) throws {
    id = digest.hex
    do {
      provenance = try record.provenance.map {
        try JSONDecoder().decode(ModelProvenance.self, from: $0)
      }
    } catch {
      throw StoreError(.corrupt, "The provenance of manifest \(digest) cannot be read.")
    }
  }
}
