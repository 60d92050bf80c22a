import Foundation
import ModelFormats

/// The inputs of a `train` unit: H steps of AdamW from the adapter that the unit names.
///
/// The tensors of `LabelledSequences`, and
///
///     steps            I32 [H+1]   step h learns the sequences from steps[h] to steps[h+1];
///                                  at least one
///     learning_rates   F64 [H]     above 0
///     optimiser        F64 [5]     beta1, beta2, epsilon, weight decay, the norm that gradients
///                                  are clipped to (0: none)
package struct TrainInputs: Equatable, Sendable {
  /// What a reader accepts.
  package enum Limit {
    package static let steps = 1 << 16
  }

  package var examples: LabelledSequences
  /// Of each step; its sequences are neighbours.
  package var steps: [Range<Int>]
  package var learningRates: [Double]
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  /// Nil: gradients are not clipped.
  package var maximumNorm: Double?

  package init(
    examples: LabelledSequences, steps: [Range<Int>], learningRates: [Double], beta1: Double,
    beta2: Double, epsilon: Double, weightDecay: Double, maximumNorm: Double?
  ) {
    (self.examples, self.steps, self.learningRates) = (examples, steps, learningRates)
    (self.beta1, self.beta2, self.epsilon) = (beta1, beta2, epsilon)
    (self.weightDecay, self.maximumNorm) = (weightDecay, maximumNorm)
  }

  private static let payload = "train inputs"

  /// The canonical bytes.
  ///
  /// - Throws: `PayloadError` for what cannot be read again.
  package func encoded() throws -> Data {
    try check()
    guard let bounds = RaggedOffsets.encode(steps.lazy.map(\.count)) else {
      throw Self.error("steps", "2^31 sequences or more")
    }
    var writer = SafetensorsWriter()
    try examples.add(to: &writer)
    try writer.add("steps", bounds)
    try writer.add("learning_rates", learningRates)
    try writer.add("optimiser", [beta1, beta2, epsilon, weightDecay, maximumNorm ?? 0])
    return writer.data()
  }

  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data) throws {
    let file = try SafetensorsFile(payload: data, name: Self.payload)
    examples = try LabelledSequences(file)
    let bounds = try file.elements("steps", as: Int32.self, shape: [nil])
    guard (1...Limit.steps).contains(bounds.count - 1) else {
      throw Self.error("steps", "1 to \(Limit.steps) steps, not \(bounds.count - 1)")
    }
    steps = try RaggedOffsets(
      bounds, covering: examples.sequences.count, payload: Self.payload, tensor: "steps"
    ).ranges
    learningRates = try file.elements("learning_rates", as: Double.self, shape: [steps.count])
    let optimiser = try file.elements("optimiser", as: Double.self, shape: [5])
    (beta1, beta2, epsilon) = (optimiser[0], optimiser[1], optimiser[2])
    (weightDecay, maximumNorm) = (optimiser[3], optimiser[4] == 0 ? nil : optimiser[4])
    try check()
  }

  /// Throws `PayloadError` unless every value is one that a step can be taken with.
  private func check() throws {
    func require(_ condition: Bool, _ tensor: String, _ reason: String) throws {
      guard condition else { throw Self.error(tensor, reason) }
    }
    try require(
      (1...Limit.steps).contains(steps.count) && steps.allSatisfy { !$0.isEmpty }
        && steps.map(\.count).reduce(0, +) == examples.sequences.count,
      "steps", "every step has a sequence, every sequence a step")
    try require(
      learningRates.count == steps.count
        && learningRates.allSatisfy { Float($0) > 0 && Float($0).isFinite }, "learning_rates",
      "above 0, as float32")
    for beta in [beta1, beta2] {
      try require(beta >= 0 && beta < 1, "optimiser", "betas are 0 or more, below 1")
    }
    try require(
      Float(epsilon) > 0 && Float(epsilon).isFinite, "optimiser", "epsilon is above 0, as float32")
    try require(weightDecay >= 0 && weightDecay.isFinite, "optimiser", "decay is 0 or more")
    try require(
      maximumNorm.map { $0 > 0 && $0.isFinite } ?? true, "optimiser", "a norm is above 0")
  }

  private static func error(_ tensor: String, _ reason: String) -> PayloadError {
    PayloadError(payload, tensor: tensor, reason: reason)
  }
}
