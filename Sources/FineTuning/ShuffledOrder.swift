import Kernels

/// The order in which examples are learnt.
package enum ShuffledOrder {
  /// A permutation (Fisher and Yates) by `Philox.uniform` under `seed`, from the last place down.
  package static func make(_ count: Int, seed: Int64) -> [Int] {
    var order = Array(0..<count)
    for place in stride(from: count - 1, to: 0, by: -1) {
      let draw = Philox.uniform(seed: seed, position: place)
      order.swapAt(place, min(place, Int(draw * Double(place + 1))))
    }
    return order
  }
}
