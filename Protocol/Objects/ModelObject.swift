/// OpenAI's `model`.
package struct ModelObject: Codable, Hashable, Sendable {
  package var id: String
  package private(set) var object = "model"
  package var created: Int
  package var ownedBy: String
  package var tally: ModelOriginBody

  package init(id: String, created: Int, ownedBy: String, tally: ModelOriginBody) {
    self.id = id
    self.created = created
    self.ownedBy = ownedBy
    self.tally = tally
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, created, tally
    case ownedBy = "owned_by"
  }
}

/// Whose weights an answer is from; ours, beside OpenAI's fields.
package struct ModelOriginBody: Codable, Hashable, Sendable {
  /// Names every bit of the model, and its whole provenance at `GET /tally/v1/manifests/{id}`.
  package var manifest: String
  @Nullable package var source: String?
  /// An SPDX identifier in lower case where there is one; null when nobody stated it.
  @Nullable package var licence: String?
  package var baseModels: [String]
  /// Of a tuned model: the digest of its adapter, and the job that it is from.
  package var adapter: String?
  package var fineTuningJob: String?

  package init(
    manifest: String, source: String?, licence: String?, baseModels: [String],
    adapter: String? = nil, fineTuningJob: String? = nil
  ) {
    self.manifest = manifest
    self.source = source
    self.licence = licence
    self.baseModels = baseModels
    self.adapter = adapter
    self.fineTuningJob = fineTuningJob
  }

  private enum CodingKeys: String, CodingKey {
    case manifest, source, licence, adapter
    case baseModels = "base_models"
    case fineTuningJob = "fine_tuning_job"
  }
}
