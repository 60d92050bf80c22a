import Foundation
import WirePayloads
import WireProtocol

/// One validated line of a batch.
package struct NewRequest: Sendable {
  package enum Content: Sendable {
    /// To be run.
    case run(RequestWork)
    /// Fails this line only, such as a prompt longer than the context.
    case failed(RequestFailure)
  }
  /// The line of the input file, from 1; unique within the batch.
  package var line: Int
  package var customID: String
  /// What the API needs to render the answer; opaque to the store.
  package var rendering: Data
  package var content: Content

  package init(line: Int, customID: String, rendering: Data, content: Content) {
    self.line = line
    self.customID = customID
    self.rendering = rendering
    self.content = content
  }
}

/// What one request asks a model to compute.
package struct RequestWork: Sendable {
  /// The digest of the model's manifest.
  package var model: Digest
  package var cache: CacheType
  /// The digest of a tuned model's adapter.
  package var adapter: Digest?
  /// A sequence for each prompt and choice, at least one; they stay together in one unit, in this
  /// order.
  package var sequences: [GenerateInputs.Sequence]

  package init(
    model: Digest, cache: CacheType = .f16, adapter: Digest? = nil,
    sequences: [GenerateInputs.Sequence]
  ) {
    self.model = model
    self.cache = cache
    self.adapter = adapter
    self.sequences = sequences
  }
}

/// A request of a batch that ends or has ended, for the output and error files.
package struct RequestOutcome: Hashable, Sendable {
  package enum Ending: Hashable, Sendable {
    case completed(CompletedRequest)
    case failed(RequestFailure)
    case expired
    case cancelled
  }
  /// `batch_req_` and 24 letters or digits: the `id` of the output line.
  package var id: String
  package var line: Int
  package var customID: String
  package var rendering: Data
  package var ending: Ending

  package init(id: String, line: Int, customID: String, rendering: Data, ending: Ending) {
    (self.id, self.line, self.customID) = (id, line, customID)
    (self.rendering, self.ending) = (rendering, ending)
  }
}

/// Where the answer to a request is found.
package struct CompletedRequest: Hashable, Sendable {
  package var unit: Digest
  /// The blob of the unit's `GenerateInputs`.
  package var inputs: Digest
  /// The blob of the accepted `GenerateResult`.
  package var result: Digest
  /// The request's first sequence in the unit.
  package var firstSequence: Int
  package var sequenceCount: Int
  package var verification: Verification
  /// Equal results that the acceptance rests on.
  package var replicas: Int
  package var completedAt: Timestamp

  package init(
    unit: Digest, inputs: Digest, result: Digest, firstSequence: Int, sequenceCount: Int,
    verification: Verification, replicas: Int, completedAt: Timestamp
  ) {
    (self.unit, self.inputs, self.result) = (unit, inputs, result)
    (self.firstSequence, self.sequenceCount) = (firstSequence, sequenceCount)
    (self.verification, self.replicas) = (verification, replicas)
    self.completedAt = completedAt
  }
}
