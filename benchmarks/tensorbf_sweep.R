# Sweeps of the R package tensorBF on a tensor of doubles; the caller times the lines "iter:  n" that it prints.
# Arguments: file (column-major doubles, NaN for missing), patients, genes, omics, components, sweeps that mask.
suppressMessages(library(tensorBF))
asked <- commandArgs(trailingOnly = TRUE)
shape <- as.integer(asked[2:4])
values <- array(readBin(asked[1], "double", prod(shape)), shape)
values[is.nan(values)] <- NA
opts <- getDefaultOpts()
opts$verbose <- 2
# Missing entries are masked in the first half of the burn-in.
opts$iter.burnin <- 2 * as.integer(asked[6])
opts$iter.sampling <- 1
opts$iter.thinning <- 1
cat(as.character(packageVersion("tensorBF")), basename(extSoftVersion()["BLAS"]), "\n")
set.seed(0)
invisible(tensorBF(Y = values, method = "CP", K = as.integer(asked[5]), opts = opts))
