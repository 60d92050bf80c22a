/// What a work unit computes.
package enum UnitKind: String, Codable, Hashable, Sendable, CaseIterable {
  /// Continues prompts: tokens with log-probabilities.
  case generate
  /// Runs whole sequences through a part of a model: activations, or the log-probabilities of the
  /// sequences' own tokens where the part has the head.
  case stageForward = "stage_forward"
  /// Takes steps of AdamW on an adapter.
  case train
  /// Measures the losses of sequences under an adapter.
  case validate
}

/// The element type of a key/value cache. It belongs to the unit, since it decides bits.
package enum CacheType: String, Codable, Hashable, Sendable {
  case f16
  case f32
}

/// Everything that decides a unit's bits, and nothing else. Immutable from the first lease;
/// replicas run the same.
///
/// A unit is named by the SHA-256 of this value's canonical JSON.
package struct UnitSpecification: Codable, Hashable, Sendable {
  package var kind: UnitKind
  /// The numerics profile, see `ProtocolVersion.numericsProfile`.
  package var profile: String
  /// The digest of the model's manifest.
  package var model: Digest
  /// The digest of the inputs, a safetensors file whose tensors depend on `kind`
  /// (`Protocol/Payloads`).
  package var inputs: Digest
  package var cache: CacheType
  /// The digest of the model's `VocabularyBytes`, present exactly when a sequence of the inputs has
  /// stop strings.
  package var vocabulary: Digest?
  /// The part of the model, present exactly for `stageForward`.
  package var part: UnitPart?
  /// The digest of an `AdapterPayload`: always of `train` and `validate`, of `generate` where a
  /// tuned model is run, never of `stageForward`.
  package var adapter: Digest?

  package init(
    kind: UnitKind, profile: String = ProtocolVersion.numericsProfile, model: Digest,
    inputs: Digest, cache: CacheType, vocabulary: Digest? = nil, part: UnitPart? = nil,
    adapter: Digest? = nil
  ) {
    self.kind = kind
    self.profile = profile
    self.model = model
    self.inputs = inputs
    self.cache = cache
    self.vocabulary = vocabulary
    self.part = part
    self.adapter = adapter
  }
}
