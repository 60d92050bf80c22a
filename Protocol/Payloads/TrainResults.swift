import Foundation
import ModelFormats

/// The result of a `train` unit: what its steps changed, rounded to bfloat16 (nearest, ties to even),
/// so that half as much travels.
///
///     layers.N.K.a, layers.N.K.b   BF16, as of `AdapterPayload`: after minus before
///     losses, norms                F64 [H]   of each step: the mean loss before it, the norm of its
///                                            gradient before clipping
package struct TrainResult: Equatable, Sendable {
  /// Values are bfloat16 ones, widened.
  package var changes: [AdapterPayload.Site: AdapterPayload.Pair]
  package var losses: [Double]
  package var norms: [Double]

  /// See the properties.
  package init(
    changes: [AdapterPayload.Site: AdapterPayload.Pair], losses: [Double], norms: [Double]
  ) {
    (self.changes, self.losses, self.norms) = (changes, losses, norms)
  }

  private static let payload = "train result"

  /// The canonical bytes, whose digest is compared between replicas.
  ///
  /// - Throws: `FormatError` for values that do not fill their shapes.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    for (site, pair) in changes {
      let name = "layers.\(site.layer).\(site.kind)"
      try writer.add(
        "\(name).a", type: .bfloat16, shape: [pair.rank, pair.inputs], bytes: BFloat16Coding.narrow(pair.a))
      try writer.add(
        "\(name).b", type: .bfloat16, shape: [pair.outputs, pair.rank], bytes: BFloat16Coding.narrow(pair.b))
    }
    try writer.add("losses", losses)
    try writer.add("norms", norms)
    return writer.data()
  }

  /// Reads a result and checks that it can be one of `inputs` from `adapter`.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(
    decoding data: Data, for inputs: TrainInputs, from adapter: AdapterPayload
  ) throws {
    let file = try SafetensorsFile(data: data, name: Self.payload)
    losses = try file.elements("losses", as: Double.self, shape: [inputs.steps.count])
    norms = try file.elements("norms", as: Double.self, shape: [inputs.steps.count])
    guard losses.allSatisfy({ $0.isFinite && $0 >= 0 }), norms.allSatisfy({ $0.isFinite && $0 >= 0 })
    else { throw PayloadError(Self.payload, tensor: "losses", reason: "not finite, or negative") }
    guard file.names.count == 2 + 2 * adapter.pairs.count else {
      throw PayloadError(
        Self.payload, tensor: "layers", reason: "not the matrices that the adapter has")
    }
    changes = try adapter.pairs.reduce(into: [:]) { changes, entry in
      let (site, pair) = entry
      let name = "layers.\(site.layer).\(site.kind)"
      changes[site] = AdapterPayload.Pair(
        rank: pair.rank, inputs: pair.inputs, outputs: pair.outputs,
        a: try Self.widen(file, "\(name).a", shape: [pair.rank, pair.inputs]),
        b: try Self.widen(file, "\(name).b", shape: [pair.outputs, pair.rank]))
    }
  }

  /// Bytes of a result of `inputs` from `adapter`, at most.
  package static func limitBytes(for inputs: TrainInputs, from adapter: AdapterPayload) -> Int {
    adapter.pairs.values.reduce(16 * inputs.steps.count + 4096) { sum, pair in
      // Values, and two entries of the header.
      sum + 2 * pair.rank * (pair.inputs + pair.outputs) + 512
    }
  }

  private static func widen(
    _ file: SafetensorsFile, _ name: String, shape: [Int]
  ) throws -> [Float] {
    let record = try file.record(name)
    guard record.type == .bfloat16, record.shape == shape else {
      throw PayloadError(payload, tensor: name, reason: "not BF16 of shape \(shape)")
    }
    let values = try BFloat16Coding.widen(file, name)
    guard values.allSatisfy(\.isFinite) else {
      throw PayloadError(payload, tensor: name, reason: "a change is not finite")
    }
    return values
  }
}

/// The result of a `validate` unit.
///
///     loss_sums  F64 [S]   of each sequence: the sum of the losses of its labels
///     labels     I32 [S]   how many they are
package struct ValidateResult: Equatable, Sendable {
  package var lossSums: [Double]
  package var labels: [Int]

  /// See the properties.
  package init(lossSums: [Double], labels: [Int]) {
    (self.lossSums, self.labels) = (lossSums, labels)
  }

  /// The mean loss of all labels; nil where there is none.
  package var meanLoss: Double? {
    let count = labels.reduce(0, +)
    return count > 0 ? lossSums.reduce(0, +) / Double(count) : nil
  }

  private static let payload = "validate result"

  /// The canonical bytes.
  ///
  /// - Throws: `PayloadError` for 2^31 labels of a sequence or more.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    try writer.add("loss_sums", lossSums)
    try writer.add(
      "labels",
      labels.map { count in
        guard let value = Int32(exactly: count) else {
          throw PayloadError(Self.payload, tensor: "labels", reason: "2^31 or more")
        }
        return value
      })
    return writer.data()
  }

  /// Bytes of a result of `inputs`, at most.
  package static func limitBytes(for inputs: LabelledSequences) -> Int {
    12 * inputs.sequences.count + 1024
  }

  /// Reads a result and checks that it can be one of `inputs`.
  ///
  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data, for inputs: LabelledSequences) throws {
    let file = try SafetensorsFile(data: data, name: Self.payload)
    let count = inputs.sequences.count
    lossSums = try file.elements("loss_sums", as: Double.self, shape: [count])
    labels = try file.elements("labels", as: Int32.self, shape: [count]).map { Int($0) }
    let expected = inputs.sequences.map { sequence in
      sequence.labels.dropFirst().count { $0 != -100 }
    }
    guard labels == expected, lossSums.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
      throw PayloadError(Self.payload, tensor: "labels", reason: "not those of the unit's sequences")
    }
  }
}
