/// What a model costs to run: floating-point operations (a multiplication and an addition are two)
/// and bytes.
///
/// Credit follows from these figures and the tokens of the accepted result, so that it is measured,
/// never claimed.
package struct ModelCost: Hashable, Sendable, Codable {
  /// Operations a token takes in all layers, without the output head: 2 x the parameters that a
  /// token meets.
  package var bodyFlopsPerToken: Double
  /// Operations the output head takes for one token's logits: 2 x D x V.
  package var headFlopsPerToken: Double
  /// Operations that attention takes for a token for each position it sees: 4 x layers x H x E.
  package var attentionFlopsPerPosition: Double
  /// Bytes of the weights in memory.
  package var weightBytes: Int
  /// Bytes of key/value cache that one token takes with an f16 cache; f32 takes twice that.
  package var cacheBytesPerToken: Int
  /// Bytes of the model's blobs, which a worker has to fetch.
  package var diskBytes: Int

  package init(
    bodyFlopsPerToken: Double, headFlopsPerToken: Double, attentionFlopsPerPosition: Double,
    weightBytes: Int, cacheBytesPerToken: Int, diskBytes: Int
  ) {
    self.bodyFlopsPerToken = bodyFlopsPerToken
    self.headFlopsPerToken = headFlopsPerToken
    self.attentionFlopsPerPosition = attentionFlopsPerPosition
    self.weightBytes = weightBytes
    self.cacheBytesPerToken = cacheBytesPerToken
    self.diskBytes = diskBytes
  }

  /// Operations of one sequence of `prompt` tokens that was continued by `generated` tokens.
  ///
  /// The last generated token is not run through the model. The head runs once for each generated
  /// token, and the token at position p attends to p + 1 positions.
  package func flops(prompt: Int, generated: Int) -> Double {
    guard generated > 0 else { return 0 }
    let run = Double(prompt + generated - 1)
    return run * bodyFlopsPerToken + Double(generated) * headFlopsPerToken
      + run * (run + 1) / 2 * attentionFlopsPerPosition
  }
}
