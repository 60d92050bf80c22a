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
        "\(name).a", type: .bfloat16, shape: [pair.rank, pair.inputs], bytes: Self.narrow(pair.a))
      try writer.add(
        "\(name).b", type: .bfloat16, shape: [pair.outputs, pair.rank], bytes: Self.narrow(pair.b))
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

  /// The nearest bfloat16 value, ties to even; an infinity or NaN is for the reader to refuse.
  package static func rounded(_ value: Float) -> Float {
    Float(bitPattern: UInt32(word(value)) << 16)
  }

  private static func word(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    guard value.isFinite else { return UInt16(bits >> 16) | (value.isNaN ? 0x40 : 0) }
    return UInt16((bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
  }

  private static func narrow(_ values: [Float]) -> [UInt8] {
    values.flatMap { value in
      let word = word(value)
      return [UInt8(word & 0xff), UInt8(word >> 8)]
    }
  }

  private static func widen(
    _ file: SafetensorsFile, _ name: String, shape: [Int]
  ) throws -> [Float] {
    let record = try file.record(name)
    guard record.type == .bfloat16, record.shape == shape else {
      throw PayloadError(payload, tensor: name, reason: "not BF16 of shape \(shape)")
    }
    let values = try file.withBytes(of: name) { bytes in
      stride(from: 0, to: bytes.count, by: 2).map { at in
        Float(bitPattern: UInt32(bytes[at]) << 16 | UInt32(bytes[at + 1]) << 24)
      }
    }
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
