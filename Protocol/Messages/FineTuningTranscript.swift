/// What a fine-tuning job ran and what came out, so that anyone may run it again to the same bits.
///
/// All that it names by digests can be fetched beside it.
package struct FineTuningTranscript: Codable, Hashable, Sendable {
  /// A unit that was accepted.
  package struct Unit: Codable, Hashable, Sendable {
    package var shard: Int
    /// The digest of its specification.
    package var unit: Digest
    package var specification: UnitSpecification
    /// The digest of the accepted result.
    package var result: Digest
    /// What its acceptance rests on: `quorum`, `trusted_pool` or `replay`.
    package var verification: String

    package init(
      shard: Int, unit: Digest, specification: UnitSpecification, result: Digest,
      verification: String
    ) {
      (self.shard, self.unit, self.specification) = (shard, unit, specification)
      (self.result, self.verification) = (result, verification)
    }
  }

  /// A published adapter with what was done from it.
  package struct Round: Codable, Hashable, Sendable {
    package var number: Int
    /// The digest of its `AdapterPayload`.
    package var adapter: Digest
    /// `train` units whose changes were joined into the next round's adapter, by shard; empty for
    /// the last round, and where the job ended before they were joined.
    package var joined: [Unit]
    /// `validate` units that measured the adapter, by place.
    package var measured: [Unit]
    /// The mean loss of the held-out examples; nil where it was not measured.
    package var validationLoss: Double?

    package init(
      number: Int, adapter: Digest, joined: [Unit], measured: [Unit], validationLoss: Double?
    ) {
      (self.number, self.adapter) = (number, adapter)
      (self.joined, self.measured, self.validationLoss) = (joined, measured, validationLoss)
    }
  }

  package var job: String
  package var plan: FineTuningPlan
  package var rounds: [Round]
  /// The round whose adapter is the job's result; nil as long as there is none.
  package var chosen: Int?

  package init(job: String, plan: FineTuningPlan, rounds: [Round], chosen: Int?) {
    (self.job, self.plan, self.rounds, self.chosen) = (job, plan, rounds, chosen)
  }
}
