"""`python -m handseg.finetune.pretrain`, for `torchrun` and `accelerate launch` too."""

import sys

from handseg.errors import MissingExtraError
from handseg.runtime.extras import needing_extras

if __name__ == "__main__":
    try:
        with needing_extras("handseg.finetune.pretrain", "pretrain"):
            from handseg.finetune.pretrain.task import main
    except MissingExtraError as error:
        sys.exit(str(error))
    main()
