import Foundation
import ModelFormats

/// A low-rank adapter on its way between coordinator and workers.
///
/// One safetensors file, for each adapted matrix of layer N and kind K (`q_proj`, `k_proj`, `v_proj`, `o_proj`,
/// `gate_proj`, `up_proj`, `down_proj`) in transformers' order of rows:
///
///     layers.N.K.a      F32 or BF16 [rank, inputs]
///     layers.N.K.b      F32 or BF16 [outputs, rank]
///     alpha             F64 [1]
///     rank_stabilised   U8 [1]   0 or 1
///
/// A tensor is BF16 where each of its values is a bfloat16 one, as after `rounded`: half as much travels.
package struct AdapterPayload: Equatable, Sendable {
  /// A matrix's place.
  package struct Site: Hashable, Sendable {
    package var layer: Int
    package var kind: String

    /// See the properties.
    package init(layer: Int, kind: String) { (self.layer, self.kind) = (layer, kind) }
  }

  /// A and B, row after row.
  package struct Pair: Equatable, Sendable {
    package var rank: Int
    package var inputs: Int
    package var outputs: Int
    package var a: [Float]
    package var b: [Float]

    /// See the properties.
    package init(rank: Int, inputs: Int, outputs: Int, a: [Float], b: [Float]) {
      (self.rank, self.inputs, self.outputs) = (rank, inputs, outputs)
      (self.a, self.b) = (a, b)
    }
  }

  package var alpha: Double
  package var isRankStabilised: Bool
  package var pairs: [Site: Pair]

  /// See the properties.
  package init(alpha: Double, isRankStabilised: Bool, pairs: [Site: Pair]) {
    (self.alpha, self.isRankStabilised, self.pairs) = (alpha, isRankStabilised, pairs)
  }

  private static let payload = "adapter"

  /// The canonical bytes.
  ///
  /// - Throws: `FormatError` for values that do not fill their shapes.
  package func encoded() throws -> Data {
    var writer = SafetensorsWriter()
    try writer.add("alpha", [alpha])
    try writer.add("rank_stabilised", [UInt8(isRankStabilised ? 1 : 0)])
    try Self.add(pairs, to: &writer)
    return writer.data()
  }

  /// - Throws: `FormatError` and `PayloadError`.
  package init(decoding data: Data) throws {
    let file = try SafetensorsFile(data: data, name: Self.payload)
    alpha = try file.elements("alpha", as: Double.self, shape: [1])[0]
    guard alpha.isFinite else { throw Self.error("alpha", "not finite") }
    let flag = try file.elements("rank_stabilised", as: UInt8.self, shape: [1])[0]
    guard flag <= 1 else { throw Self.error("rank_stabilised", "\(flag) is neither 0 nor 1") }
    isRankStabilised = flag == 1
    pairs = try Self.pairs(file, besides: ["alpha", "rank_stabilised"])
    guard !pairs.isEmpty else { throw Self.error("layers", "it adapts no matrix") }
  }

  static func add(_ pairs: [Site: Pair], to writer: inout SafetensorsWriter) throws {
    for (site, pair) in pairs {
      let name = "layers.\(site.layer).\(site.kind)"
      try add("\(name).a", [pair.rank, pair.inputs], pair.a, to: &writer)
      try add("\(name).b", [pair.outputs, pair.rank], pair.b, to: &writer)
    }
  }

  private static func add(
    _ name: String, _ shape: [Int], _ values: [Float], to writer: inout SafetensorsWriter
  ) throws {
    guard BFloat16Coding.isExact(values) else { return try writer.add(name, shape: shape, values) }
    try writer.add(name, type: .bfloat16, shape: shape, bytes: BFloat16Coding.narrow(values))
  }

  private static func values(_ file: SafetensorsFile, _ name: String) throws -> [Float] {
    guard try file.record(name).type == .bfloat16 else {
      return try file.elements(name, as: Float.self)
    }
    return try BFloat16Coding.widen(file, name)
  }

  /// Every value rounded to the nearest bfloat16 one, ties to even.
  package var rounded: AdapterPayload {
    var payload = self
    payload.pairs = pairs.mapValues { pair in
      var pair = pair
      pair.a = pair.a.map(BFloat16Coding.rounded)
      pair.b = pair.b.map(BFloat16Coding.rounded)
      return pair
    }
    return payload
  }

  /// The pairs of a file, all of whose other tensors are named in `others`.
  static func pairs(_ file: SafetensorsFile, besides others: Set<String>) throws -> [Site: Pair] {
    var pairs: [Site: Pair] = [:]
    for name in file.names where !others.contains(name) {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 4, parts[0] == "layers", ["a", "b"].contains(parts[3]),
        let layer = Int(parts[1]), layer >= 0, parts[1] == "\(layer)"
      else { throw error(name, "there is no such tensor") }
      guard parts[3] == "a" else {
        guard pairs[Site(layer: layer, kind: parts[2])] != nil else {
          throw error(name, "A of the matrix is missing")
        }
        continue
      }
      let stem = "layers.\(layer).\(parts[2])"
      let (aShape, bShape) = (
        try file.record("\(stem).a").shape, try file.record("\(stem).b").shape
      )
      guard aShape.count == 2, bShape.count == 2, aShape[0] == bShape[1],
        (aShape + bShape).allSatisfy({ $0 > 0 })
      else { throw error(name, "A \(aShape) and B \(bShape) are no pair") }
      pairs[Site(layer: layer, kind: parts[2])] = Pair(
        rank: aShape[0], inputs: aShape[1], outputs: bShape[0],
        a: try values(file, "\(stem).a"), b: try values(file, "\(stem).b"))
    }
    return pairs
  }

  static func error(_ tensor: String, _ reason: String) -> PayloadError {
    PayloadError(payload, tensor: tensor, reason: reason)
  }
}
